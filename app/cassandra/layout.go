package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gocql/gocql"
)

// A layout is what a keyspace says of its schema.
type layout struct {
	keyspace bool // it is there
	version  int  // of the schema; 0 is none
	buckets  int
}

// usable reports whether a program can work with the schema.
func (l layout) usable(keyspace string) error {
	known := len(migrations())
	switch {
	case !l.keyspace:
		return fmt.Errorf("there is no keyspace %s: make it with \"app migrate --store cassandra\"", keyspace)
	case l.version == 0:
		return fmt.Errorf("keyspace %s has no tables: make them with \"app migrate --store cassandra\"", keyspace)
	case l.version < known:
		return fmt.Errorf("the schema of keyspace %s has version %d, this program needs %d: run \"app migrate --store cassandra\"", keyspace, l.version, known)
	case l.version > known:
		return fmt.Errorf("the schema of keyspace %s has version %d, this program knows %d: use a newer app", keyspace, l.version, known)
	case l.buckets < 1:
		return fmt.Errorf("the layout of keyspace %s has %d buckets: it has been damaged", keyspace, l.buckets)
	}
	return nil
}

// readLayout reads the layout of a keyspace, as far as there is one.
func readLayout(ctx context.Context, session *gocql.Session, keyspace string) (layout, error) {
	replication, err := readReplication(ctx, session, keyspace)
	if err != nil || replication == nil {
		return layout{}, err
	}
	l := layout{keyspace: true}
	if found, err := hasTable(ctx, session, keyspace, "layout"); err != nil || !found {
		return l, err
	}
	err = onceKnown(ctx, func() error {
		return session.Query("SELECT version, buckets FROM "+keyspace+".layout WHERE one = 0").WithContext(ctx).Scan(&l.version, &l.buckets)
	})
	if err != nil && !errors.Is(err, gocql.ErrNotFound) {
		return l, fmt.Errorf("read layout of keyspace %s: %w", keyspace, err)
	}
	return l, nil
}

// readReplication reads how a keyspace is replicated; nil if there is none.
func readReplication(ctx context.Context, session *gocql.Session, keyspace string) (map[string]string, error) {
	var replication map[string]string
	err := session.Query("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", keyspace).WithContext(ctx).
		Consistency(gocql.One).Scan(&replication)
	if errors.Is(err, gocql.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for keyspace %s: %w", keyspace, err)
	}
	return replication, nil
}

func hasTable(ctx context.Context, session *gocql.Session, keyspace, table string) (bool, error) {
	var name string
	err := session.Query("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?", keyspace, table).
		WithContext(ctx).Consistency(gocql.One).Scan(&name)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for table %s.%s: %w", keyspace, table, err)
	}
	return true, nil
}

// onceKnown repeats a statement while its node does not know the table yet, which
// another program has just made through another node: the table is listed before it can
// be used.
func onceKnown(ctx context.Context, do func() error) error {
	for n := 0; ; n++ {
		err := do()
		var answer gocql.RequestError
		if !errors.As(err, &answer) || answer.Code() != gocql.ErrCodeInvalid || n == tableTries || pause(ctx, n) != nil {
			return err
		}
	}
}

// names are the keys, sorted.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
