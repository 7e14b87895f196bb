package testservers

import (
	"context"
	"encoding/binary"
	"strings"
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
