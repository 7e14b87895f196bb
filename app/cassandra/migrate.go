package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/gocql/gocql"

	"flyball/app/product"
)

// A Migration says how the tables are to be made. Both are for a keyspace that is not
// there yet: afterwards they have to agree with it.
type Migration struct {
	Replication map[string]int // replicas by data centre; nil takes the keyspace as it is
	Buckets     int            // of each listing; 0 takes what is there, or DefaultBuckets
}

// DefaultBuckets is enough for ten million products, and MaxBuckets for what a listing
// can still merge.
const (
	DefaultBuckets = 16
	MaxBuckets     = 1024
)

// A step takes the schema from one version to the next. Its statements may be made
// again: a step that was begun is begun anew.
type step struct {
	name       string
	statements []string // %s is the keyspace
}

// migrations are in order: the schema's version is how many have been made. What has
// been released never changes.
func migrations() []step {
	return []step{{
		name: "products and their listing",
		statements: []string{`
CREATE TABLE IF NOT EXISTS %s.product (
	id         text PRIMARY KEY,
	type       text,
	name       text,
	parameters text,
	version    text,
	past       frozen<list<text>>,
	entry      text,
	created    bigint,
	updated    bigint
) WITH compaction = {'class': 'LeveledCompactionStrategy'}`, `
CREATE TABLE IF NOT EXISTS %s.listing (
	type   text,
	bucket int,
	id     text,
	entry  text,
	made   timestamp,
	PRIMARY KEY ((type, bucket), id, entry)
) WITH compaction = {'class': 'LeveledCompactionStrategy'} AND gc_grace_seconds = 10800`},
	}}
}

// Migrate makes the keyspace and brings its schema to the version that this program
// knows. It may run any number of times, and several times at once: they take turns.
func Migrate(ctx context.Context, o Options, m Migration) error {
	err := errors.Join(o.Validate(), m.validate())
	if err == nil {
		err = migrate(ctx, o, m)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (m Migration) validate() error {
	if m.Buckets < 0 || m.Buckets > MaxBuckets {
		return fmt.Errorf("buckets: %d is not from 1 to %d", m.Buckets, MaxBuckets)
	}
	return nil
}

func migrate(ctx context.Context, o Options, m Migration) error {
	session, err := connect(ctx, o, o.surveying())
	if err != nil {
		return err
	}
	defer session.Close()
	g := &migrator{session: session, keyspace: o.Keyspace, log: o.Logger, name: holderName()}
	if err := g.makeKeyspace(ctx, m.Replication); err != nil {
		return err
	}
	l, err := readLayout(ctx, session, o.Keyspace)
	if err == nil && l.version < len(migrations()) {
		l, err = g.takeTurn(ctx, m.Buckets)
	}
	switch {
	case err != nil:
		return err
	case m.Buckets != 0 && m.Buckets != l.buckets:
		return fmt.Errorf("keyspace %s was made with %d buckets, which cannot be changed: leave the number out", o.Keyspace, l.buckets)
	}
	if err := l.usable(o.Keyspace); err != nil {
		return err
	}
	o.Logger.Info("the schema is as this program needs it", "keyspace", o.Keyspace, "version", l.version, "buckets", l.buckets)
	return nil
}

// A migrator is one run of a migration.
type migrator struct {
	session  *gocql.Session
	keyspace string
	name     string // in the lock
	log      *slog.Logger
}

// holderName tells people who holds the lock.
func holderName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s %d %s", host, os.Getpid(), product.NewVersion())
}

// makeKeyspace makes the keyspace, or finds that the one that is there will do.
func (g *migrator) makeKeyspace(ctx context.Context, want map[string]int) error {
	have, err := readReplication(ctx, g.session, g.keyspace)
	if err != nil {
		return err
	}
	dcs, err := datacenters(ctx, g.session)
	if err != nil {
		return err
	}
	if have != nil {
		return sameReplication(g.keyspace, have, want)
	}
	if err := possible(want, dcs); err != nil {
		return fmt.Errorf("make keyspace %s: %w", g.keyspace, err)
	}
	g.log.Info("making the keyspace", "keyspace", g.keyspace, "replication", want)
	return g.change(ctx, fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy'%s}", g.keyspace, factors(want)))
}

// possible reports whether a ring has the nodes for a replication.
func possible(want map[string]int, dcs map[string]int) error {
	if len(want) == 0 {
		var example []string
		for _, dc := range names(dcs) {
			example = append(example, fmt.Sprintf("%s=%d", dc, min(3, dcs[dc])))
		}
		return fmt.Errorf("it is not there, and no replication is given; this ring could bear %s", strings.Join(example, ","))
	}
	var errs []error
	for _, dc := range names(want) {
		switch nodes := dcs[dc]; {
		case nodes == 0:
			errs = append(errs, fmt.Errorf("replication: the ring has no data centre %q; it has %s", dc, strings.Join(names(dcs), ", ")))
		case want[dc] < 1 || want[dc] > nodes:
			errs = append(errs, fmt.Errorf("replication: data centre %s has %d nodes, so it can hold 1 to %d replicas, not %d", dc, nodes, nodes, want[dc]))
		}
	}
	return errors.Join(errs...)
}

// sameReplication refuses a keyspace that is replicated otherwise than is asked for: a
// change would need a repair of all nodes after it, which is the operator's.
func sameReplication(keyspace string, have map[string]string, want map[string]int) error {
	if want == nil {
		return nil
	}
	asked := map[string]string{}
	for dc, n := range want {
		asked[dc] = strconv.Itoa(n)
	}
	is := maps.Clone(have)
	class := is["class"]
	delete(is, "class")
	if strings.HasSuffix(class, "NetworkTopologyStrategy") && maps.Equal(is, asked) {
		return nil
	}
	return fmt.Errorf("keyspace %s is there with replication %v: to change it, ALTER KEYSPACE and then repair every node; to leave it, leave the replication out", keyspace, have)
}

// factors writes replicas by data centre as the rest of a CQL map.
func factors(replication map[string]int) string {
	var b strings.Builder
	for _, dc := range names(replication) {
		fmt.Fprintf(&b, ", '%s': %d", strings.ReplaceAll(dc, "'", "''"), replication[dc])
	}
	return b.String()
}

// change makes a change of the schema and waits until all nodes know it.
func (g *migrator) change(ctx context.Context, statement string) error {
	if err := g.session.Query(statement).WithContext(ctx).Exec(); err != nil {
		return fmt.Errorf("change schema of keyspace %s: %w", g.keyspace, rights(err, g.keyspace))
	}
	if err := g.session.AwaitSchemaAgreement(ctx); err != nil {
		return fmt.Errorf("wait until all nodes know the schema: is one of them down? %w", err)
	}
	return nil
}

// rights adds a hint to an error that says that the user may not do something.
func rights(err error, keyspace string) error {
	var answer gocql.RequestError
	if errors.As(err, &answer) && answer.Code() == gocql.ErrCodeUnauthorized {
		return fmt.Errorf("%w: grant CREATE, ALTER, SELECT and MODIFY on keyspace %s, which has to be there, or on all keyspaces", err, keyspace)
	}
	return err
}
