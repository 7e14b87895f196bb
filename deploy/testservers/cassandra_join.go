package testservers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// joinTries is how often a node may try to join its ring.
	joinTries = 3
	// unmet is how a node ends that heard of nobody while it waited.
	unmet = "Unable to contact any seeds"
	// joinNote is a line of the log between two tries.
	joinNote = "testservers: this node met nobody of its ring"
)

// ringDelay returns how long a node waits for the others, and once more after it
// told them of itself. By itself it hears nothing: the others tell it what they
// know when their gossip, which speaks to one of them each second, happens to
// choose it. So a second is too short for a third node every now and then, and
// more often where processors are scarce. A node goes on as soon as it was told,
// so that only the second wait, and that of the first node, are always this long.
func (o CassandraOptions) ringDelay(_, failed int) time.Duration {
	if o.Nodes == 1 {
		return time.Second
	}
	return 4 * time.Second << failed
}

// node returns how a node is started.
func (c *Cassandra) node(i int, java string) program {
	return program{
		path:     java,
		args:     []string{"@" + filepath.Join(c.nodes[i].dir, "java.options"), "org.apache.cassandra.service.CassandraDaemon"},
		quit:     syscall.SIGTERM,
		patience: 3 * time.Minute,
		ready:    func(ctx context.Context) error { return c.ready(ctx, i) },
	}
}

// joinAgain lets a node that met nobody try again, with more patience and as if it
// had never been there: it told the others only that it was about to join, which
// a node of the same address may do anew.
func (c *Cassandra) joinAgain(i int, home string, o CassandraOptions, failed int, err error) error {
	s := c.nodes[i]
	log := s.Log()
	if failed >= joinTries || !strings.Contains(log[max(0, strings.LastIndex(log, joinNote)):], unmet) {
		return err
	}
	return errors.Join(
		s.note(joinNote+", try %d of %d follows, on an empty folder", failed+1, joinTries),
		os.RemoveAll(filepath.Join(s.dir, "data")),
		c.configure(i, home, o, failed),
	)
}
