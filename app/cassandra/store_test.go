package cassandra

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/app/product"
	"flyball/app/product/storetest"
	"flyball/deploy/testservers"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) product.Store { return opened(t, migrated(t, testservers.SharedCassandra(t))) })
}

func TestAStoreSpreadsAListingEvenlyOverItsBuckets(t *testing.T) {
	s := &Store{buckets: 16}
	counts := make([]int, s.buckets)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	const each = 1000
	for i := range each * s.buckets {
		counts[s.bucket(product.NewID(at.Add(time.Duration(i)*time.Millisecond)))]++
	}
	if least, most := slices.Min(counts), slices.Max(counts); least < each*8/10 || most > each*12/10 {
		t.Errorf("buckets hold %d to %d, want %d each, more or less", least, most, each)
	}
}

func TestAProductIsListedUnderItsPresentTypeOnly(t *testing.T) {
	t.Parallel()
	s := opened(t, migrated(t, testservers.SharedCassandra(t)))
	p := create(t, s, some("a", "book"))
	p.Type = "film"
	if _, err := s.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{"": ids(t, s, ""), "book": ids(t, s, "book"), "film": ids(t, s, "film")}
	if diff := cmp.Diff(map[string][]string{"": {"a"}, "book": nil, "film": {"a"}}, got); diff != "" {
		t.Errorf("listings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"": 1, "film": 1}, entries(t, s, "a")); diff != "" {
		t.Errorf("entries left (-want +got):\n%s", diff)
	}
	if err := s.Delete(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, s, "a"); len(left) != 0 {
		t.Errorf("entries of a deleted product are left: %v", left)
	}
}

func TestARefusedWriteLeavesNoEntry(t *testing.T) {
	t.Parallel()
	s := opened(t, migrated(t, testservers.SharedCassandra(t)))
	made := create(t, s, some("a", "book"))
	if _, err := s.Create(t.Context(), some("a", "film")); !errors.Is(err, product.ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
	stale := made
	stale.Type, stale.Version = "song", "another"
	if _, err := s.Update(t.Context(), stale); !errors.Is(err, product.ErrConflict) {
		t.Fatalf("got %v, want ErrConflict", err)
	}
	if diff := cmp.Diff(map[string]int{"": 1, "book": 1}, entries(t, s, "a")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// entries counts an ID's entries by listing.
func entries(t *testing.T, s *Store, id string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, typ := range []string{"", "book", "film", "song"} {
		iter := s.session.Query(selectEntry, typ, s.bucket(id), "").Iter()
		var e entry
		for iter.Scan(&e.id, &e.name, &e.made) {
			counts[typ]++
		}
		if err := iter.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

func TestEntriesThatACrashLeftAreSweptADayLater(t *testing.T) {
	t.Parallel()
	o := migrated(t, testservers.SharedCassandra(t))
	s := opened(t, o)
	for _, id := range []string{"a", "d"} {
		create(t, s, some(id, "book"))
	}
	old, young := time.Now().Add(-memory-time.Minute), time.Now().Add(-memory+time.Minute)
	for id, made := range map[string]time.Time{"a": old, "b": old, "c": young} { // "a" has one that is its own too
		if err := s.session.Query(insertEntry, "book", s.bucket(id), id, "left", made).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"a", "d"}, ids(t, s, "book")); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
	got := map[string]int{}
	for _, id := range []string{"a", "b", "c", "d"} {
		got[id] = entries(t, s, id)["book"]
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 0, "c": 1, "d": 1}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if n := sample(t, o, "store_swept_entries_total"); n != 2 {
		t.Errorf("%v entries counted as swept, want 2", n)
	}
}

func TestAPageIsFullThoughMostOfItsEntriesAreHintsOnly(t *testing.T) {
	t.Parallel()
	s := opened(t, migrated(t, testservers.SharedCassandra(t)))
	var want []string
	for i := range 200 {
		id := fmt.Sprintf("p%03d", i)
		if i%20 == 0 {
			create(t, s, some(id, "book"))
			want = append(want, id)
			continue
		}
		if err := s.session.Query(insertEntry, "book", s.bucket(id), id, "left", time.Now()).Exec(); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.List(t.Context(), product.Query{Type: "book", Limit: 6})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range page.Products {
		got = append(got, p.ID)
	}
	if diff := cmp.Diff(want[:6], got); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestWithoutEnoughNodesAWriteDoesNothingAndIsBusy(t *testing.T) {
	t.Parallel()
	c := testservers.SharedCassandra(t)
	o := migrated(t, c)
	s := opened(t, o)
	s.patience = 500 * time.Millisecond
	made := create(t, s, some("a", "book"))
	replicas := func(n int) {
		c.CQL(t, fmt.Sprintf("ALTER KEYSPACE %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': %d}", o.Keyspace, datacenter, n))
	}
	replicas(3) // of which there is one
	calls := map[string]func() error{
		"create": func() error { _, err := s.Create(t.Context(), some("b", "book")); return err },
		"get":    func() error { _, err := s.Get(t.Context(), "a"); return err },
		"list":   func() error { _, err := s.List(t.Context(), product.Query{Limit: 1}); return err },
		"update": func() error { _, err := s.Update(t.Context(), made); return err },
		"delete": func() error { return s.Delete(t.Context(), "a", "") },
		"ping":   func() error { return s.Ping(t.Context()) },
	}
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if err := calls[name](); !errors.Is(err, product.ErrBusy) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want ErrBusy", name, err)
		}
	}
	replicas(1)
	if diff := cmp.Diff([]string{"a"}, ids(t, s, "")); diff != "" {
		t.Errorf("products (-want +got):\n%s", diff)
	}
	if got, err := s.Get(t.Context(), "a"); err != nil || got.Version != made.Version {
		t.Errorf("got %v, %v", got, err)
	}
}
