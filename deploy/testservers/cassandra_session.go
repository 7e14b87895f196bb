package testservers

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// CQL runs a statement with consistency QUORUM as the superuser, on the first
// node that answers, and returns the rows; values are as they are sent, so that
// an int has four bytes. A change of the schema is known to all running nodes
// when it returns.
func (c *Cassandra) CQL(t testing.TB, statement string) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := c.query(ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// query is CQL for those who handle errors themselves.
func (c *Cassandra) query(ctx context.Context, statement string) ([][]string, error) {
	errs := []error{fmt.Errorf("run CQL: none of %d nodes takes it", len(c.nodes))}
	for _, i := range c.running() {
		conn, err := c.session(ctx, i)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defer conn.Close()
		rows, changed, err := conn.query(statement, cqlQuorum)
		if err != nil {
			return nil, fmt.Errorf("run CQL on %s: %w", c.nodes[i].name, err)
		}
		if changed {
			err = c.awaitAgreement(ctx)
		}
		return rows, err
	}
	return nil, errors.Join(errs...)
}

// session logs in on a node.
func (c *Cassandra) session(ctx context.Context, i int) (*cqlConn, error) {
	conn, err := dialCQL(ctx, c.Addr(i))
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", c.nodes[i].name, err)
	}
	if err := conn.login("cassandra", "cassandra"); err != nil {
		return nil, errors.Join(fmt.Errorf("log in on %s: %w", c.nodes[i].name, err), conn.Close())
	}
	return conn, nil
}

// ready says whether a node takes part. It serves, and if there is a quorum, then
// the superuser can log in on each running node, each sees all others, and all
// have the same schema. A ring is not ready by itself when its nodes serve: they
// make the superuser and learn of each other later.
func (c *Cassandra) ready(ctx context.Context, i int) error {
	conn, err := dialCQL(ctx, c.Addr(i))
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	running := c.running()
	if len(running) < len(c.hosts)/2+1 {
		return nil
	}
	return c.agree(ctx, running)
}

// running returns the nodes that run, and are not frozen.
func (c *Cassandra) running() []int {
	var is []int
	for i, n := range c.nodes {
		if ps := belonging(n.dir); len(ps) > 0 && ps[0].state != 'T' {
			is = append(is, i)
		}
	}
	return is
}

// agree asks each of some nodes whether it sees as many, by a read that wants an
// answer of each, and for its schema.
func (c *Cassandra) agree(ctx context.Context, nodes []int) error {
	schema := ""
	for _, i := range nodes {
		conn, err := c.session(ctx, i)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, _, err := conn.query("SELECT * FROM system_distributed.view_build_status LIMIT 1", len(nodes)); err != nil {
			return fmt.Errorf("ask %s for the others: %w", c.nodes[i].name, err)
		}
		rows, _, err := conn.query("SELECT schema_version FROM system.local", 1)
		if err != nil {
			return fmt.Errorf("ask %s for its schema: %w", c.nodes[i].name, err)
		}
		if len(rows) != 1 {
			return fmt.Errorf("ask %s for its schema: it answers with %d rows", c.nodes[i].name, len(rows))
		}
		if schema != "" && rows[0][0] != schema {
			return fmt.Errorf("%s has another schema than %s", c.nodes[i].name, c.nodes[nodes[0]].name)
		}
		schema = rows[0][0]
	}
	return nil
}

// awaitAgreement returns once the running nodes have the same schema.
func (c *Cassandra) awaitAgreement(ctx context.Context) error {
	for {
		err := c.agree(ctx, c.running())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the schema: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
