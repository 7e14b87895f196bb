package cassandra

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"
)

// An entry of the listing is a hint that there may be a product.
type entry struct {
	typ  string // the listing's; "" is every type
	id   string
	name string // of the creation, or the change of type, that it was made for
	made time.Time
}

const (
	insertEntry = "INSERT INTO listing (type, bucket, id, entry, made) VALUES (?, ?, ?, ?, ?)"
	deleteEntry = "DELETE FROM listing WHERE type = ? AND bucket = ? AND id = ? AND entry = ?"
	selectEntry = "SELECT id, entry, made FROM listing WHERE type = ? AND bucket = ? AND id > ?"
)

// bucket is where an ID is listed.
func (s *Store) bucket(id string) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % uint32(s.buckets))
}

// entries are those of a row: in the listing of all products, and in its type's.
func (r row) entries() []entry {
	es := []entry{{id: r.ID, name: r.entry}}
	if r.Type != "" {
		es = append(es, entry{typ: r.Type, id: r.ID, name: r.entry})
	}
	return es
}

// enter writes the entries of a row that is about to be written.
func (s *Store) enter(ctx context.Context, r row) error {
	made := time.Now()
	return together(r.entries(), func(e entry) error {
		return patiently(ctx, func() error {
			return s.repeatable(ctx, insertEntry, e.typ, s.bucket(e.id), e.id, e.name, made).Exec()
		})
	})
}

// removalTimeout is how long the removal of entries may hold up an answer.
const removalTimeout = time.Second

// withdraw removes the entries of a row that is no longer there, or never was. It does
// not matter if it fails: they are hints, and [Store.sweep] comes by.
func (s *Store) withdraw(ctx context.Context, r row) {
	s.remove(ctx, r.entries())
}

// sweep removes entries that have belonged to no product for so long that none will
// come any more.
func (s *Store) sweep(ctx context.Context, es []entry, r row) {
	var dead []entry
	for _, e := range es {
		if e.name != r.entry && time.Since(e.made) > memory {
			dead = append(dead, e)
		}
	}
	if len(dead) > 0 {
		s.remove(ctx, dead)
		s.metrics.swept.Add(float64(len(dead)))
	}
}

func (s *Store) remove(ctx context.Context, es []entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removalTimeout)
	defer cancel()
	err := together(es, func(e entry) error {
		return s.repeatable(ctx, deleteEntry, e.typ, s.bucket(e.id), e.id, e.name).Exec()
	})
	if err != nil {
		s.log.Info("entries of the listing stay for now", "id", es[0].id, "err", err)
	}
}

// together does something to each element at once and waits for all.
func together[E any](es []E, do func(E) error) error {
	errs := make([]error, len(es))
	var wg sync.WaitGroup
	for i, e := range es {
		wg.Go(func() { errs[i] = do(e) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// belongs reports whether a row is one of the products that a listing is of.
func (r row) belongs(typ string) bool { return !gone(r.Version) && (typ == "" || typ == r.Type) }
