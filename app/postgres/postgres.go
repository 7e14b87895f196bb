// Package postgres keeps products in PostgreSQL, which any number of processes may use
// at once, and goes on by itself when another server takes over.
//
// # Table
//
// A product is one row of `product`. Every write puts one version in the place of
// another: it inserts the row if there is none, or updates it if it has a certain
// version ([Store.swap]). A deleted product leaves its row as a marker for a day. Pages
// are read by ID from where the last one ended, through the primary key or an index on
// type and ID, so that each costs the same.
//
// # Servers
//
// The connection string may name several servers. Only one that takes writes is used;
// connections of the pool to one that does so no longer, or does not answer, are given
// up together, and new ones look for the new primary. Reads go there too.
//
// # Failures
//
// A statement that certainly did nothing, and every read, is repeated as long as the
// store has patience; then the call fails with [product.ErrBusy]. A write whose answer
// is lost may have been done, or may be done yet, by a server that wakes up later. It
// is repeated too, which is safe because each puts a version that is made once in the
// place of one that never comes back: whichever of them is done, the others find
// nothing to do. Which one it was, the row tells: it has its latest versions, and
// `product_past` those before them, a row for each 32, for ten minutes.
//
// A write that is acknowledged is as durable as the server makes it. With synchronous
// replication, a promoted standby has every one, also those that were in doubt: what
// became of them is read under a lock, whose own commit waits for the standby. Without
// it, the last writes before a failover may be lost, as PostgreSQL says.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"flyball/app/product"
	"flyball/app/remote"
)

// DefaultConnections is how many connections a store has at most, and
// DefaultStatementTimeout how long the server works on one statement.
const (
	DefaultConnections      = 16
	DefaultStatementTimeout = 2 * time.Second
)

// Options say where the database is and who the app is there.
type Options struct {
	// DSN is a connection string as libpq has it, a URL or key=value pairs, which may
	// name several hosts. It has no password: it may be seen by others.
	DSN string
	// DSNFile holds the connection string, in place of DSN, and may hold a password.
	// Both files are read anew for each connection, so that a password may change.
	DSNFile          string
	PasswordFile     string                // holds the password; ends of lines at its end do not count
	Connections      int                   // at most; 0 is DefaultConnections
	StatementTimeout time.Duration         // at the server; 0 is DefaultStatementTimeout
	Logger           *slog.Logger          // has to be there
	Registry         prometheus.Registerer // nil: nothing is counted
}

func (o Options) withDefaults() Options {
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = DefaultStatementTimeout
	}
	return o
}

// ownPassword finds a password among key=value pairs, or in the query of a URL.
var ownPassword = regexp.MustCompile(`(?i)(^|[\s?&])(ssl)?password\s*=`)

// Validate says everything that is wrong with options at once. It reads the files.
func (o Options) Validate() error {
	errs := []error{o.validateSource()}
	if o.Connections < 0 || o.Connections > 10_000 {
		errs = append(errs, fmt.Errorf("connections: %d is not from 1 to 10000", o.Connections))
	}
	if o.StatementTimeout < 0 || o.StatementTimeout > patience/2 || o.StatementTimeout%time.Millisecond != 0 {
		errs = append(errs, fmt.Errorf("statement timeout: %s is not from 1ms to %s in whole milliseconds", o.StatementTimeout, patience/2))
	}
	return errors.Join(errs...)
}

func (o Options) validateSource() error {
	switch {
	case o.DSN == "" && o.DSNFile == "":
		return errors.New("dsn: say where the database is, in a connection string or in a file with one")
	case o.DSN != "" && o.DSNFile != "":
		return errors.New("dsn: give it by itself or in a file, not both")
	case hasPassword(o.DSN):
		return errors.New("dsn: it has a password, which others can see: put the password, or the whole string, into a file")
	}
	_, err := o.connection()
	return err
}

// hasPassword reports whether a connection string has a password.
func hasPassword(dsn string) bool {
	plain, err := url.QueryUnescape(dsn)
	if ownPassword.MatchString(dsn) || err == nil && ownPassword.MatchString(plain) {
		return true
	}
	_, rest, isURL := strings.Cut(dsn, "://")
	rest, _, _ = strings.Cut(rest, "?")
	user, _, hasUser := strings.Cut(rest, "@")
	return isURL && hasUser && strings.Contains(user, ":")
}

// secret reads a file, without the ends of lines at its end.
func secret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// Store is a [product.Store] in a database. Make it with [Open].
type Store struct {
	pool     *pgxpool.Pool
	answer   time.Duration // for the server to answer one statement
	patience time.Duration // for a whole call, with all that is repeated
	log      *slog.Logger
	metrics  *remote.Metrics
	servers  servers

	mu         sync.Mutex
	era        int       // of connections: all those of an era are given up together
	complained time.Time // last
}

var _ product.Store = (*Store)(nil)

// Open opens the store. The schema has to be there in the version that this program
// knows: [Migrate] makes it. A database that cannot be reached is waited for, as in
// every call.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	o = o.withDefaults()
	s := &Store{answer: o.StatementTimeout + time.Second, patience: patience, log: o.Logger}
	var err error
	if s.pool, err = newPool(ctx, o, s); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.metrics = newMetrics(o.Registry, s.pool)
	_, err = within(ctx, s, "open store", func(ctx context.Context) (int, error) {
		var version int
		err := s.repeatable(ctx, func(ctx context.Context, c *pgx.Conn) (err error) {
			version, err = schemaVersion(ctx, c)
			return err
		})
		return version, orElse(err, usable(version))
	})
	if err != nil {
		s.pool.Close()
		return nil, err
	}
	return s, nil
}

// orElse is the first of two errors.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Close ends all connections, after the calls in progress.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Ping is described at [product.Store]. A server that takes no writes does not count.
func (s *Store) Ping(ctx context.Context) error {
	_, err := within(ctx, s, "ping store", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.repeatable(ctx, func(ctx context.Context, c *pgx.Conn) error {
			var readOnly bool
			err := c.QueryRow(ctx, "SELECT current_setting('transaction_read_only')::bool FROM (SELECT count(*) FROM (SELECT 1 FROM product LIMIT 1) AS one) AS product").Scan(&readOnly)
			if err == nil && readOnly {
				err = errReadOnly
			}
			return err
		})
	})
	return err
}
