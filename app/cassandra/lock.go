package cassandra

import (
	"context"
	"crypto/sha1"
	"fmt"
	"time"

	"github.com/gocql/gocql"
)

// lease is how long a migration that died holds up the next. A step takes less.
const lease = 2 * time.Minute

// lockTries is how often the lock is asked for when the ring fails to answer, and
// tableTries how often a table that has just been made.
const (
	lockTries  = 30
	tableTries = 20
)

// makeLayout makes the table that the lock is in. Nothing can keep two programs from
// doing so at once, and tables of one name that are made through two nodes at once are
// two tables, one of which is lost. So its ID is not left to chance.
func (g *migrator) makeLayout(ctx context.Context) error {
	found, err := hasTable(ctx, g.session, g.keyspace, "layout")
	if err != nil || found {
		return err
	}
	return g.change(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s.layout (
	one     int PRIMARY KEY,
	version int,
	buckets int,
	holder  text
) WITH id = '%s'`, g.keyspace, layoutID(g.keyspace)))
}

// layoutID is a UUID by name (RFC 9562, version 5) for a keyspace's table.
func layoutID(keyspace string) gocql.UUID {
	sum := sha1.Sum([]byte("flyball app layout " + keyspace))
	var id gocql.UUID
	copy(id[:], sum[:16])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

// takeTurn makes what is missing of the schema while nobody else does.
func (g *migrator) takeTurn(ctx context.Context, buckets int) (l layout, err error) {
	if err := g.makeLayout(ctx); err != nil {
		return layout{}, err
	}
	if err := g.lock(ctx); err != nil {
		return layout{}, err
	}
	defer g.unlock(ctx)
	l, err = readLayout(ctx, g.session, g.keyspace)
	if err != nil {
		return layout{}, err
	}
	if l.buckets == 0 {
		l.buckets = buckets
	}
	if l.buckets == 0 {
		l.buckets = DefaultBuckets
	}
	for ; l.version < len(migrations()); l.version++ {
		if err := g.take(ctx, l); err != nil {
			return layout{}, err
		}
	}
	return l, nil
}

// take makes the step that leads on from a version.
func (g *migrator) take(ctx context.Context, l layout) error {
	s := migrations()[l.version]
	g.log.Info("changing the schema", "keyspace", g.keyspace, "to", l.version+1, "step", s.name)
	for _, statement := range s.statements {
		if err := g.hold(ctx, g.name); err != nil {
			return err
		}
		if err := g.change(ctx, fmt.Sprintf(statement, g.keyspace)); err != nil {
			return fmt.Errorf("step %d (%s): %w", l.version+1, s.name, err)
		}
	}
	return g.advance(ctx, l)
}

// advance notes that a step is done, if the lock is still ours.
func (g *migrator) advance(ctx context.Context, l layout) error {
	var holder string
	done, err := g.session.Query("UPDATE "+g.keyspace+".layout SET version = ?, buckets = ? WHERE one = 0 IF holder = ?", l.version+1, l.buckets, g.name).
		WithContext(ctx).ScanCAS(&holder)
	if err != nil {
		return fmt.Errorf("note that step %d is done: %w", l.version+1, err)
	}
	if !done {
		return g.lost(holder)
	}
	return nil
}

func (g *migrator) lost(holder string) error {
	return fmt.Errorf("another migration (%s) took over from this one, which took too long: run it again", holder)
}

// lock waits until the lock is ours.
func (g *migrator) lock(ctx context.Context) error {
	told := false
	for n := 0; ; n++ {
		holder, err := g.acquire(ctx, "")
		switch {
		case err != nil && n < lockTries && passing(err): // many at once are in each other's way
		case err != nil:
			return fmt.Errorf("take the lock of keyspace %s: %w", g.keyspace, rights(err, g.keyspace))
		case holder == g.name:
			return nil
		case !told:
			g.log.Info("waiting for another migration", "holder", holder, "at_most", lease)
			told = true
		}
		if err := pause(ctx, n); err != nil {
			return fmt.Errorf("wait for another migration (%s): %w", holder, err)
		}
	}
}

// hold takes the lock anew for a whole lease.
func (g *migrator) hold(ctx context.Context, from string) error {
	holder, err := g.acquire(ctx, from)
	if err != nil {
		return fmt.Errorf("hold the lock of keyspace %s: %w", g.keyspace, err)
	}
	if holder != g.name {
		return g.lost(holder)
	}
	return nil
}

// acquire takes the lock from a holder ("" is nobody) and gives who has it now.
func (g *migrator) acquire(ctx context.Context, from string) (holder string, err error) {
	var condition any
	if from != "" {
		condition = from
	}
	err = onceKnown(ctx, func() error {
		done, err := g.session.Query("UPDATE "+g.keyspace+".layout USING TTL ? SET holder = ? WHERE one = 0 IF holder = ?", int(lease/time.Second), g.name, condition).
			WithContext(ctx).ScanCAS(&holder)
		if done {
			holder = g.name
		}
		return err
	})
	return holder, err
}

// unlock lets the next migration in. If it fails, the lease ends by itself.
func (g *migrator) unlock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	var holder string
	_, err := g.session.Query("UPDATE "+g.keyspace+".layout SET holder = null WHERE one = 0 IF holder = ?", g.name).WithContext(ctx).ScanCAS(&holder)
	if err != nil {
		g.log.Warn("the lock of a migration stays for now", "at_most", lease, "err", err)
	}
}
