package cassandra

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gocql/gocql"

	"flyball/collector/exporter"
)

// views is the keyspace in which a node tells of itself.
const views = "system_views"

// A link is a session with one node and no other. The driver opens two
// connections for it: one for queries, and one that it controls the session by.
// A link that failed is closed, and the next scrape opens a new one. It is safe
// for concurrent use.
type link struct {
	query   query
	close   func()
	columns map[string][]string // of each table in system_views
	absent  error               // why there are none

	snapshots memo
}

// A query gives the rows of a statement, one after another. A row is good until
// the next one.
type query func(ctx context.Context, statement string, read func(row)) error

// open links with the node at an address, before ctx ends. server is its name in
// a certificate.
func open(ctx context.Context, address, server string, c Config) (*link, error) {
	who, err := c.login()
	if err != nil {
		return nil, err
	}
	d := &dialer{ctx: ctx, address: address}
	if c.TLS != nil {
		if d.tls, err = c.TLS.config(server); err != nil {
			return nil, exporter.Because(exporter.TLS, err)
		}
	}
	stop := context.AfterFunc(ctx, d.cut)
	session, err := gocql.NewSession(settings(d, who, c.Timeout))
	inTime := stop()
	d.close()
	switch {
	case err != nil && !inTime:
		return nil, fmt.Errorf("connect to %s: %w", address, ctx.Err())
	case err != nil:
		d.cut()
		return nil, fmt.Errorf("connect to %s: %w", address, spoke(d.failed(err)))
	}
	l := &link{query: over(session), close: func() {
		d.cut() // first: the driver's own way waits for a node that does not answer
		session.Close()
	}}
	if err := l.learn(ctx); err != nil || !inTime {
		l.close()
		return nil, fmt.Errorf("ask %s for its tables: %w", address, errors.Join(err, ctx.Err()))
	}
	return l, nil
}

// spoke is an error of somebody who was reached: if nothing better is known, it
// does not speak CQL.
func spoke(err error) error {
	var answer gocql.RequestError
	if err = judged(err); exporter.Reason(err) == exporter.Broken && !errors.As(err, &answer) {
		return exporter.Because(exporter.Protocol, err)
	}
	return err
}

// settings make a driver that keeps to one node, does nothing by itself but to
// ask each connection now and then whether it lives, and is silent. Protocol 4 is
// what all versions with virtual tables speak.
func settings(d *dialer, who login, timeout time.Duration) gocql.ClusterConfig {
	c := gocql.NewCluster(net.IPv4(127, 0, 0, 1).String()) // the dialer knows better
	c.ProtoVersion = 4
	c.NumConns = 1
	c.Consistency = gocql.One
	c.Timeout, c.ConnectTimeout = 2*timeout, 2*timeout // our own deadline is earlier, and its error is clear
	c.DisableInitialHostLookup = true
	c.Events.DisableNodeStatusEvents = true
	c.Events.DisableTopologyEvents = true
	c.Events.DisableSchemaEvents = true
	c.ReconnectInterval = 0
	c.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1}
	c.WriteCoalesceWaitTime = 0
	c.Authenticator = who
	c.HostDialer = d
	c.ConnectObserver = d
	c.Logger = silent{}
	return *c
}

// silent is a logger that says nothing: all errors come back to us.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// learn asks which tables the node tells of itself in, and their columns: they
// differ from version to version.
func (l *link) learn(ctx context.Context) error {
	l.columns = map[string][]string{}
	err := l.query(ctx, "SELECT table_name, column_name FROM system_virtual_schema.columns WHERE keyspace_name = '"+views+"'", func(r row) {
		t := r.text("table_name")
		l.columns[t] = append(l.columns[t], r.text("column_name"))
	})
	if exporter.Reason(err) == exporter.Missing || exporter.Reason(err) == exporter.Permission {
		l.absent, err = fmt.Errorf("list the tables of %s: %w", views, err), nil
	}
	return err
}

// each reads the named columns of a table in system_views, row by row. Columns
// that the table lacks are lacking in the rows; a table that the node lacks has
// no rows.
func (l *link) each(ctx context.Context, table string, columns []string, read func(row)) error {
	if l.absent != nil {
		return l.absent
	}
	var there []string
	for _, c := range columns {
		if slices.Contains(l.columns[table], c) && !slices.Contains(there, c) {
			there = append(there, c)
		}
	}
	if len(there) == 0 {
		return nil
	}
	err := l.query(ctx, "SELECT "+strings.Join(there, ", ")+" FROM "+views+"."+table, read)
	switch {
	case err == nil:
		return nil
	case exporter.Reason(err) == exporter.Permission:
		return fmt.Errorf("read %s.%s: %w (GRANT SELECT ON KEYSPACE %s TO the role)", views, table, err, views)
	}
	return fmt.Errorf("read %s.%s: %w", views, table, err)
}

// over asks over a session.
func over(session *gocql.Session) query {
	return func(ctx context.Context, statement string, read func(row)) error {
		rows := session.Query(statement).WithContext(ctx).Iter()
		r := newRow(rows.Columns())
		into := r.into()
		for rows.Scan(into...) {
			read(r)
		}
		return judged(rows.Close())
	}
}
