package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"flyball/app/cassandra"
	"flyball/app/postgres"
	"flyball/app/product"
	"flyball/app/sqlite"
)

// The kinds of stores.
const (
	inSQLite    = "sqlite"
	inCassandra = "cassandra"
	inPostgres  = "postgres"
)

// storeConfig is what the flags say of where products are kept.
type storeConfig struct {
	kind      string
	db        string
	cassandra cassandra.Options
	postgres  postgres.Options
	migration cassandra.Migration
}

// store is a product.Store that has to be closed.
type store interface {
	product.Store
	io.Closer
}

// kinds lists the stores there are.
func kinds() []string { return []string{inSQLite, inCassandra, inPostgres} }

// register adds the flags that say where products are kept.
func (c *storeConfig) register(f *pflag.FlagSet) {
	f.StringVar(&c.kind, "store", inSQLite, "where products are kept: "+strings.Join(kinds(), ", "))
	f.StringVar(&c.db, "db", "app.db", "SQLite file; several processes may share it")
	f.StringSliceVar(&c.cassandra.Hosts, "cassandra-hosts", []string{"127.0.0.1"}, "some nodes of the ring, by name or address; the others are found")
	f.IntVar(&c.cassandra.Port, "cassandra-port", 9042, "CQL port of all nodes")
	f.StringVar(&c.cassandra.Keyspace, "cassandra-keyspace", "app", "keyspace; app migrate makes it")
	f.StringVar(&c.cassandra.Datacenter, "cassandra-dc", "", "local data centre; needed if the ring has several")
	f.StringVar(&c.cassandra.User, "cassandra-user", "", "who the app is, if the ring asks")
	f.StringVar(&c.cassandra.PasswordFile, "cassandra-password-file", "", "file with the user's password, read anew for each connection")
	f.StringVar(&c.cassandra.CAFile, "cassandra-ca-file", "", "certificates of the authority that vouches for the nodes' addresses; given, connections are TLS")
	c.registerPostgres(f)
}

func (c *storeConfig) registerPostgres(f *pflag.FlagSet) {
	f.StringVar(&c.postgres.DSN, "postgres-dsn", "", "connection string without a password, such as postgres://app@db1,db2/app; of several servers the one that takes writes is used")
	f.StringVar(&c.postgres.DSNFile, "postgres-dsn-file", "", "file with the connection string, which may have a password; read anew for each connection")
	f.StringVar(&c.postgres.PasswordFile, "postgres-password-file", "", "file with the user's password, read anew for each connection")
	f.IntVar(&c.postgres.Connections, "postgres-connections", postgres.DefaultConnections, "connections at most; what finds none free waits")
	f.DurationVar(&c.postgres.StatementTimeout, "postgres-statement-timeout", postgres.DefaultStatementTimeout, "how long the server works on one statement at most")
}

// registerMigration adds the flags that say how tables are made.
func (c *storeConfig) registerMigration(f *pflag.FlagSet) {
	f.StringToIntVar(&c.migration.Replication, "replication", nil, "Cassandra: replicas of a new keyspace by `data-centre=number`, such as dc1=3,dc2=3")
	f.Lookup("replication").DefValue = "" // help would show empty brackets
	f.IntVar(&c.migration.Buckets, "buckets", 0, fmt.Sprintf("Cassandra: partitions of each listing in a new keyspace; %d are enough for ten million products (default %d)", cassandra.DefaultBuckets, cassandra.DefaultBuckets))
}

// kindOf names the store that a flag is for; "" is none in particular.
func kindOf(flag string) string {
	switch {
	case flag == "db":
		return inSQLite
	case flag == "replication", flag == "buckets", strings.HasPrefix(flag, "cassandra-"):
		return inCassandra
	case strings.HasPrefix(flag, "postgres-"):
		return inPostgres
	}
	return ""
}

// validate says everything that is wrong at once. Flags for another store than the one
// that is asked for are a mistake: most likely --store has been forgotten.
func (c *storeConfig) validate(flags *pflag.FlagSet) error {
	if !slices.Contains(kinds(), c.kind) {
		return fmt.Errorf("store: %q is not one of %s", c.kind, strings.Join(kinds(), ", "))
	}
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		if kind := kindOf(f.Name); kind != "" && kind != c.kind {
			errs = append(errs, fmt.Errorf("%s: is for --store %s, but the store is %s", f.Name, kind, c.kind))
		}
	})
	switch c.kind {
	case inCassandra:
		errs = append(errs, c.cassandra.Validate())
	case inPostgres:
		errs = append(errs, c.postgres.Validate())
	}
	return errors.Join(errs...)
}

// open opens the store.
func (c *storeConfig) open(ctx context.Context, log *slog.Logger, r prometheus.Registerer) (store, error) {
	switch c.kind {
	case inSQLite:
		return sqlite.Open(ctx, c.db)
	case inCassandra:
		o := c.cassandra
		o.Logger, o.Registry = log, r
		return cassandra.Open(ctx, o)
	case inPostgres:
		o := c.postgres
		o.Logger, o.Registry = log, r
		return postgres.Open(ctx, o)
	}
	return nil, fmt.Errorf("open store: no kind %q", c.kind)
}

// migrate makes the store's tables, or changes them to those that this program needs.
func (c *storeConfig) migrate(ctx context.Context, log *slog.Logger) error {
	switch c.kind {
	case inSQLite:
		s, err := sqlite.Open(ctx, c.db) // makes its own tables
		if err != nil {
			return err
		}
		log.Info("the schema is as this program needs it", "db", c.db)
		return s.Close()
	case inCassandra:
		o := c.cassandra
		o.Logger = log
		return cassandra.Migrate(ctx, o, c.migration)
	case inPostgres:
		o := c.postgres
		o.Logger = log
		return postgres.Migrate(ctx, o)
	}
	return fmt.Errorf("migrate: no kind %q", c.kind)
}
