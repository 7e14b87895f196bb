package testservers

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// number reads an int as CQL sends it.
func number(t *testing.T, rows [][]string) int {
	t.Helper()
	if len(rows) != 1 || len(rows[0]) != 1 || len(rows[0][0]) != 4 {
		t.Fatalf("%q is not one int", rows)
	}
	return int(binary.BigEndian.Uint32([]byte(rows[0][0])))
}

func TestCassandraKeepsItsDataWhenKilledAndLeavesNothing(t *testing.T) {
	var dir string
	t.Run("life", func(t *testing.T) {
		c := StartCassandra(t, CassandraOptions{Auth: true})
		dir = c.Dir()
		c.CQL(t, "CREATE KEYSPACE kept WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
		c.CQL(t, "CREATE TABLE kept.t (n int PRIMARY KEY)")
		c.CQL(t, "INSERT INTO kept.t (n) VALUES (7)")

		conn, err := dialCQL(t.Context(), c.Addr(0))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.login("cassandra", "wrong"); err == nil || !strings.Contains(err.Error(), "password") {
			t.Errorf("a wrong password: %v", err)
		}
		c.Freeze(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := dialCQL(ctx, c.Addr(0)); err == nil {
			t.Error("a frozen node answered")
		}
		c.Thaw(t)
		if got := number(t, c.CQL(t, "SELECT n FROM kept.t")); got != 7 {
			t.Errorf("after the thaw there is %d", got)
		}
		c.Kill(t)
		if ps := belonging(dir); len(ps) > 0 || answers(c.Addr(0)) {
			t.Errorf("killed, there are %v", ps)
		}
		c.Restart(t)
		if got := number(t, c.CQL(t, "SELECT n FROM kept.t")); got != 7 {
			t.Errorf("after the restart there is %d", got)
		}
	})
	gone(t, dir)
}

func TestARingOfThreeServesWithTwo(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes of Cassandra take half a minute")
	}
	c := StartCassandra(t, CassandraOptions{Nodes: 3, Auth: true})
	c.CQL(t, "CREATE KEYSPACE kept WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}")
	c.CQL(t, "CREATE TABLE kept.t (n int PRIMARY KEY)")
	c.CQL(t, "INSERT INTO kept.t (n) VALUES (7)")
	c.Node(0).Kill(t)
	quorum(t, c)
	c.Node(0).Restart(t)
	c.Node(1).Kill(t)
	quorum(t, c)
}

// quorum waits until two of three nodes answer.
func quorum(t *testing.T, c *Cassandra) {
	t.Helper()
	var last error
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last error: %v", last)
		}
	})
	until(t, "two nodes answer", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		rows, err := c.query(ctx, "SELECT n FROM kept.t")
		last = err
		return err == nil && number(t, rows) == 7
	})
}

func TestANodeWithoutAuthWantsNoPassword(t *testing.T) {
	if testing.Short() {
		t.Skip("Java takes long to start")
	}
	c := SharedCassandra(t)
	conn, err := dialCQL(t.Context(), c.Addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.login("nobody", ""); err != nil {
		t.Error(err)
	}
	rows, _, err := conn.query("SELECT cluster_name FROM system.local", cqlQuorum)
	if err != nil || len(rows) != 1 || rows[0][0] != "flyball" {
		t.Errorf("%q, %v", rows, err)
	}
	if len(c.Hosts()) != 1 || c.Node(0) != c.Server {
		t.Errorf("its hosts are %v", c.Hosts())
	}
}

// A first node that is busy with something else is the nearest to gossip that
// happens to reach the others first.
func TestANodeThatMetNobodyJoinsAtItsNextTry(t *testing.T) {
	if testing.Short() {
		t.Skip("Java takes long to start")
	}
	frozen := make(chan error, 1)
	c := begin(t, func(ctx context.Context, g *Group) (*Cassandra, error) {
		var first *Server
		delay := func(node, failed int) time.Duration {
			newest := g.living()[len(g.living())-1]
			switch {
			case node == 0:
				first = newest
			case failed == 0:
				go func() { frozen <- freezeWhileJoining(ctx, first, newest) }()
				return time.Second
			}
			return 4 * time.Second
		}
		return g.StartCassandra(ctx, CassandraOptions{Nodes: 2, delay: delay})
	})
	if err := <-frozen; err != nil {
		t.Fatal(err)
	}
	if log := c.Node(1).Log(); strings.Count(log, "try 2 of 3 follows") != 1 {
		t.Errorf("the log of the second node says\n%s", log)
	}
	if got := len(c.CQL(t, "SELECT peer FROM system.peers_v2")); got != 1 {
		t.Errorf("the first node knows %d others", got)
	}
}

// freezeWhileJoining freezes a node once another has heard that it is there, and
// before it is told anything, until the other gives up.
func freezeWhileJoining(ctx context.Context, node, other *Server) error {
	defer node.signalAll(syscall.SIGCONT)
	for _, said := range []string{"Starting up server gossip", unmet} {
		for !strings.Contains(other.Log(), said) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
		if said == unmet {
			break
		}
		if _, err := halt(node.dir); err != nil {
			return err
		}
	}
	return nil
}

func TestANodeThatFailsToJoinIsNotStartedForEver(t *testing.T) {
	c := &Cassandra{nodes: []*Server{nil, {name: "cassandra-2", dir: t.TempDir()}}, hosts: []string{"127.0.1.1", "127.0.1.2"}}
	o := CassandraOptions{Nodes: 2}
	o.delay = o.ringDelay
	for _, tt := range []struct {
		failed int
		log    string // of the last try
		delay  string // of the next one, if there is to be one
	}{{1, unmet, "=8000\n"}, {2, "no space left", ""}, {2, unmet, "=16000\n"}, {3, unmet, ""}} {
		if err := c.nodes[1].note("%s: [/127.0.1.1]", tt.log); err != nil {
			t.Fatal(err)
		}
		ended := errors.New("it ended by itself")
		err := c.joinAgain(1, "home", o, tt.failed, ended)
		if tt.delay == "" {
			if !errors.Is(err, ended) {
				t.Errorf("after try %d, which said %s: %v", tt.failed, tt.log, err)
			}
			continue
		}
		options, errRead := os.ReadFile(filepath.Join(c.nodes[1].dir, "java.options"))
		if err != nil || errRead != nil || !strings.Contains(string(options), "ring_delay_ms"+tt.delay) {
			t.Errorf("after try %d: %v, %v\n%s", tt.failed, err, errRead, options)
		}
	}
}
