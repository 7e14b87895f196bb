package testservers

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const cassandraVersion = "5.0.5"

//go:embed cassandra
var cassandraFiles embed.FS

// CassandraOptions says what is to be started.
type CassandraOptions struct {
	Nodes int  // 1 to 3; by default 1
	Auth  bool // logins with passwords and permissions; the superuser is cassandra, with password cassandra
	// Address is the one node's, in place of one of the loopback: the gateway of a
	// container network, where the containers can reach it.
	Address string

	// delay is in place of ringDelay, for tests of what it is for.
	delay func(node, failed int) time.Duration
}

// Cassandra is a ring of nodes. As a Server it is its first node.
type Cassandra struct {
	*Server
	nodes   []*Server
	hosts   []string
	port    int // of CQL, on each host
	storage int // port between the nodes
}

// StartCassandra starts a ring for one test, on addresses of its own.
func StartCassandra(t testing.TB, o CassandraOptions) *Cassandra {
	t.Helper()
	return begin(t, func(ctx context.Context, g *Group) (*Cassandra, error) { return g.StartCassandra(ctx, o) })
}

// SharedCassandra returns the one node that the tests of this process share:
// each makes a keyspace of its own. It wants no password.
func SharedCassandra(t testing.TB) *Cassandra {
	t.Helper()
	return share(t, "cassandra", func(ctx context.Context, g *Group) (*Cassandra, error) {
		return g.StartCassandra(ctx, CassandraOptions{})
	})
}

// StartCassandra starts a ring, one node after another.
func (g *Group) StartCassandra(ctx context.Context, o CassandraOptions) (*Cassandra, error) {
	o.Nodes = max(o.Nodes, 1)
	if o.delay == nil {
		o.delay = o.ringDelay
	}
	if o.Nodes > 1 && o.Address != "" {
		return nil, errors.New("start Cassandra: one address is for one node")
	}
	if o.Nodes > 3 {
		return nil, fmt.Errorf("start Cassandra: a ring has up to 3 nodes, and not %d", o.Nodes)
	}
	java, err := look("java", "openjdk-17-jre-headless")
	if err != nil {
		return nil, err
	}
	home, err := cached(ctx, "cassandra-"+cassandraVersion, fetchCassandra)
	if err != nil {
		return nil, err
	}
	c := &Cassandra{}
	for range o.Nodes {
		if err := c.addNode(ctx, g, java, home, o); err != nil {
			return nil, discard(err, c.nodes...)
		}
	}
	return c, nil
}

// fetchCassandra fetches the libraries, which are all that there is.
func fetchCassandra(ctx context.Context, home string) error {
	if err := writeFiles(cassandraFiles, home, []string{"pom.xml"}, map[string]any{"Version": cassandraVersion}); err != nil {
		return err
	}
	return jars(ctx, filepath.Join(home, "pom.xml"), filepath.Join(home, "lib"))
}

// Hosts returns the addresses of the nodes: 127.0.n.1 and on.
func (c *Cassandra) Hosts() []string { return c.hosts }

// Port returns the port of CQL on each of Hosts.
func (c *Cassandra) Port() int { return c.port }

// Addr returns host:port of a node, counted from 0.
func (c *Cassandra) Addr(i int) string { return net.JoinHostPort(c.hosts[i], strconv.Itoa(c.port)) }

// Node returns a node, counted from 0.
func (c *Cassandra) Node(i int) *Server { return c.nodes[i] }

// all returns the nodes.
func (c *Cassandra) all() []*Server { return c.nodes }

// addNode starts one more node; with the first one addresses and ports are chosen.
func (c *Cassandra) addNode(ctx context.Context, g *Group, java, home string, o CassandraOptions) error {
	s, err := g.place("cassandra")
	if err != nil {
		return err
	}
	i := len(c.nodes)
	c.nodes = append(c.nodes, s)
	return s.launch(ctx, func() error {
		if c.Server == nil {
			c.Server = s
			if err := c.chooseAddresses(o); err != nil {
				return err
			}
		}
		s.program = c.node(i, java)
		s.program.again = func(failed int, err error) error { return c.joinAgain(i, home, o, failed, err) }
		if err := os.Mkdir(filepath.Join(s.dir, "tmp"), 0o755); err != nil {
			return fmt.Errorf("prepare %s: %w", s.name, err)
		}
		return c.configure(i, home, o, 0)
	})
}

// configure writes the files of a node that failed to join so many times.
func (c *Cassandra) configure(i int, home string, o CassandraOptions, failed int) error {
	s := c.nodes[i]
	return writeFiles(cassandraFiles, s.dir, []string{"cassandra.yaml", "logback.xml", "java.options"}, map[string]any{
		"Address": c.hosts[i], "Seed": c.hosts[0], "StoragePort": c.storage, "NativePort": c.port,
		"Auth": o.Auth, "Nodes": o.Nodes, "Dir": s.dir, "Lib": filepath.Join(home, "lib"),
		"RingDelay": o.delay(i, failed).Milliseconds(),
	})
}

// chooseAddresses finds addresses 127.0.n.1 and on, and ports on them, that
// nobody else has.
func (c *Cassandra) chooseAddresses(o CassandraOptions) error {
	var err error
	if c.port, err = c.Server.port(); err != nil {
		return err
	}
	if c.storage, err = c.Server.port(); err != nil {
		return err
	}
	if o.Address != "" {
		c.hosts = []string{o.Address}
		return nil
	}
	for range 1000 {
		net := fmt.Sprintf("127.0.%d", 1+rand.IntN(254))
		held, err := reserve("cassandra/" + net)
		if err != nil {
			continue
		}
		c.held = append(c.held, held)
		for i := range o.Nodes {
			c.hosts = append(c.hosts, fmt.Sprintf("%s.%d", net, i+1))
		}
		return nil
	}
	return errors.New("find free addresses: 1000 tries were not enough")
}
