// Package storetest is what every [product.Store] has to pass.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/app/product"
)

// Run holds a store to its contract. The function opens one that is empty; it is
// called once for each subtest and closes what it opened with the test.
func Run(t *testing.T, open func(t *testing.T) product.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s product.Store)
	}{
		{"what was created is found as it was given", created},
		{"an id is given once", once},
		{"an update replaces what a client may set", updated},
		{"an update needs the version that it replaces", conflict},
		{"a version does not come back with a product made anew", anew},
		{"a delete needs the version, if one is given", deleted},
		{"what is not there is not found", missing},
		{"pages hold every product once, by id", pages},
		{"a page token is of its own listing", tokens},
		{"of many updates of one version one wins", race},
		{"no update of many writers is lost", counted},
		{"an ended context ends a call", ended},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

// make1 is a product with every kind of parameter.
func make1(id string) product.Product {
	at := time.Date(2026, 11, 20, 10, 0, 0, 123000, time.UTC)
	return product.Product{
		ID: id, Type: "bücher", Name: "A 'quoted' <name>; --",
		Parameters: product.Parameters{"s": "tëxt\n\"x\"", "n": json.Number("1.50"), "big": json.Number("12345678901234567890"), "t": true, "z": nil},
		Created:    at, Updated: at,
	}
}

func put(t *testing.T, s product.Store, p product.Product) product.Product {
	t.Helper()
	got, err := s.Create(t.Context(), p)
	if err != nil {
		t.Fatalf("Create(%s): %v", p.ID, err)
	}
	return got
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want %v", err, target)
	}
}

func created(t *testing.T, s product.Store) {
	p := make1("a")
	made := put(t, s, p)
	if made.Version == "" {
		t.Error("the version is empty")
	}
	got, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	p.Version = made.Version
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(p, made); diff != "" {
		t.Errorf("Create (-want +got):\n%s", diff)
	}
	got.Parameters["n"] = "changed by the caller"
	again, err := s.Get(t.Context(), "a")
	if err != nil || again.Parameters["n"] != json.Number("1.50") {
		t.Errorf("the store gave a map that it keeps: %v, %v", again.Parameters, err)
	}
}

func once(t *testing.T, s product.Store) {
	put(t, s, make1("a"))
	other := make1("a")
	other.Name = "other"
	_, err := s.Create(t.Context(), other)
	want(t, err, product.ErrExists)
	if got, _ := s.Get(t.Context(), "a"); got.Name == "other" {
		t.Error("the second create replaced the first")
	}
}

func updated(t *testing.T, s product.Store) {
	made := put(t, s, make1("a"))
	for _, version := range []string{made.Version, ""} {
		p := product.Product{ID: "a", Type: "t" + version, Name: "n", Version: version, Updated: made.Updated.Add(time.Hour)}
		got, err := s.Update(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if got.Version == made.Version || got.Version == "" {
			t.Errorf("version %q after %q: want a new one", got.Version, made.Version)
		}
		p.Version, p.Created, p.Parameters = got.Version, made.Created, product.Parameters{}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("Update (-want +got):\n%s", diff)
		}
		if read, err := s.Get(t.Context(), "a"); err != nil || !cmp.Equal(read, got) {
			t.Errorf("Get after Update: %v, %v", read, err)
		}
	}
}

func conflict(t *testing.T, s product.Store) {
	made := put(t, s, make1("a"))
	first, err := s.Update(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	made.Name = "stale"
	_, err = s.Update(t.Context(), made)
	want(t, err, product.ErrConflict)
	if got, _ := s.Get(t.Context(), "a"); !cmp.Equal(got, first) {
		t.Errorf("a refused update changed the product: %v", got)
	}
}

func anew(t *testing.T, s product.Store) {
	old := put(t, s, make1("a"))
	if err := s.Delete(t.Context(), "a", old.Version); err != nil {
		t.Fatal(err)
	}
	put(t, s, make1("a"))
	_, err := s.Update(t.Context(), old)
	want(t, err, product.ErrConflict)
	want(t, s.Delete(t.Context(), "a", old.Version), product.ErrConflict)
}

func deleted(t *testing.T, s product.Store) {
	put(t, s, make1("a"))
	want(t, s.Delete(t.Context(), "a", "another"), product.ErrConflict)
	if err := s.Delete(t.Context(), "a", ""); err != nil {
		t.Error(err)
	}
	_, err := s.Get(t.Context(), "a")
	want(t, err, product.ErrNotFound)
}

func missing(t *testing.T, s product.Store) {
	_, err := s.Get(t.Context(), "a")
	want(t, err, product.ErrNotFound)
	_, err = s.Update(t.Context(), make1("a"))
	want(t, err, product.ErrNotFound)
	want(t, s.Delete(t.Context(), "a", ""), product.ErrNotFound)
	want(t, s.Delete(t.Context(), "a", "v"), product.ErrNotFound)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func pages(t *testing.T, s product.Store) {
	all := map[string][]string{}
	for i := range 23 {
		p := make1(fmt.Sprintf("p%02d", i))
		p.Type = []string{"x", "y", "y y"}[i%3]
		put(t, s, p)
		all[""] = append(all[""], p.ID)
		all[p.Type] = append(all[p.Type], p.ID)
	}
	all["none"] = nil
	for typ, ids := range all {
		for _, limit := range []int{1, 7, 23, 24} {
			if diff := cmp.Diff(ids, walk(t, s, typ, limit)); diff != "" {
				t.Errorf("type %q, limit %d (-want +got):\n%s", typ, limit, diff)
			}
		}
	}
}

// walk lists all pages. Behind the first page one of its products is deleted and
// one is made, which must not disturb the others.
func walk(t *testing.T, s product.Store, typ string, limit int) (ids []string) {
	t.Helper()
	q := product.Query{Type: typ, Limit: limit}
	for {
		page, err := s.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Products) > limit {
			t.Fatalf("%d products on a page of %d", len(page.Products), limit)
		}
		for _, p := range page.Products {
			ids = append(ids, p.ID)
		}
		if page.Next == "" {
			return ids
		}
		if len(page.Products) < limit {
			t.Fatalf("a page of %d of %d is not the last", len(page.Products), limit)
		}
		first := page.Products[0]
		if err := s.Delete(t.Context(), first.ID, ""); err != nil {
			t.Fatal(err)
		}
		put(t, s, first)
		q.Token = page.Next
	}
}

func tokens(t *testing.T, s product.Store) {
	for _, id := range []string{"a", "b", "c"} {
		put(t, s, make1(id))
	}
	page, err := s.List(t.Context(), product.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []product.Query{
		{Limit: 1, Token: "nonsense"},
		{Limit: 1, Token: strings.Repeat("A", 100)},
		{Limit: 1, Token: page.Next, Type: "another"},
	} {
		_, err := s.List(t.Context(), q)
		want(t, err, product.ErrPageToken)
	}
}

func race(t *testing.T, s product.Store) {
	made := put(t, s, make1("a"))
	var wg sync.WaitGroup
	outcomes := make(chan error, 16)
	for range cap(outcomes) {
		wg.Go(func() {
			_, err := s.Update(t.Context(), made)
			outcomes <- err
		})
	}
	wg.Wait()
	close(outcomes)
	won := 0
	for err := range outcomes {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, product.ErrConflict):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d updates of one version won, want 1", won)
	}
}

func counted(t *testing.T, s product.Store) {
	const writers, times = 4, 15
	p := make1("a")
	p.Parameters = product.Parameters{"n": json.Number("0")}
	put(t, s, p)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			if err := Count(t.Context(), s, "a", times); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := s.Get(t.Context(), "a")
	if err != nil || got.Parameters["n"] != json.Number(fmt.Sprint(writers*times)) {
		t.Errorf("counted %v, %v; want %d", got.Parameters["n"], err, writers*times)
	}
}

// Count adds one to the parameter n of a product a number of times, each with
// optimistic locking, and reads again when somebody else was faster.
func Count(ctx context.Context, s product.Store, id string, times int) error {
	for done := 0; done < times; {
		p, err := s.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		n, err := p.Parameters["n"].(json.Number).Int64()
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		p.Parameters = product.Parameters{"n": json.Number(fmt.Sprint(n + 1))}
		_, err = s.Update(ctx, p)
		switch {
		case err == nil:
			done++
		case !errors.Is(err, product.ErrConflict):
			return fmt.Errorf("count: %w", err)
		}
	}
	return nil
}

func ended(t *testing.T, s product.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, "a")
	want(t, err, context.Canceled)
	_, err = s.Create(ctx, make1("a"))
	want(t, err, context.Canceled)
}
