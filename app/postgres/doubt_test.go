package postgres

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"flyball/app/product"
	"flyball/deploy/testservers"
)

// A hold is a session of somebody else's that keeps the row of an ID locked.
type hold struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

// holds locks the row of an ID, or, by an insertion, its place.
func holds(t *testing.T, p *testservers.Postgres, database, statement string) *hold {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.DSN("postgres", "", database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	return &hold{conn, tx}
}

// waits waits until a statement waits for what is held.
func (h *hold) waits(t *testing.T) {
	t.Helper()
	until(t, "a statement waits for the lock", 10*time.Second, func() bool {
		var n int
		err := h.tx.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
		return err == nil && n > 0
	})
}

func (h *hold) lets(t *testing.T) {
	t.Helper()
	if err := h.tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAWriteWhoseAnswerIsLostIsFoundOutAbout(t *testing.T) {
	const (
		lock   = "SELECT FROM product WHERE id = 'a' FOR UPDATE"
		insert = "INSERT INTO product (id, type, name, parameters, version, first, created, updated) VALUES ('a', '', '', '{}', 'x', 'x', now(), now())"
	)
	for _, tt := range []struct {
		name, held string
		there      bool
		call       func(ctx context.Context, s *Store, made product.Product) error
		left       bool
	}{
		{"create", insert, false, func(ctx context.Context, s *Store, _ product.Product) error {
			_, err := s.Create(ctx, some("a", "book"))
			return err
		}, true},
		{"update", lock, true, func(ctx context.Context, s *Store, made product.Product) error {
			_, err := s.Update(ctx, made)
			return err
		}, true},
		{"update of any version", lock, true, func(ctx context.Context, s *Store, made product.Product) error {
			made.Version = ""
			_, err := s.Update(ctx, made)
			return err
		}, true},
		{"delete", lock, true, func(ctx context.Context, s *Store, made product.Product) error {
			return s.Delete(ctx, "a", made.Version)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := testservers.SharedPostgres(t)
			database := p.Database(t)
			proxy := testservers.StartProxy(t, p.Addr())
			o := migrated(t, options(t, []string{proxy.Addr()}, database))
			o.StatementTimeout = 5 * time.Second
			s := opened(t, o)
			var made product.Product
			if tt.there {
				made = create(t, s, some("a", "book"))
			}
			h := holds(t, p, database, tt.held)
			called := make(chan error, 1)
			go func() { called <- tt.call(t.Context(), s, made) }()
			h.waits(t)
			proxy.Cut() // the server has the statement, and goes on with it
			h.lets(t)
			until(t, "the server has done it", 10*time.Second, func() bool {
				return p.SQL(t, database, "SELECT count(*) FROM product WHERE version <> '"+made.Version+"'") == "1"
			})
			proxy.Restore(t)
			if err := <-called; err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if made, not := doubts(t, o, "made"), doubts(t, o, "not_made"); made != 1 || not != 0 {
				t.Errorf("%v found made, %v not made; want 1 and 0", made, not)
			}
			if _, err := s.Get(t.Context(), "a"); (err == nil) != tt.left {
				t.Errorf("then: %v", err)
			}
		})
	}
}

func TestAnInsertionThatComesLateDoesNotBringADeletedProductBack(t *testing.T) {
	t.Parallel()
	s := opened(t, migrated(t, empty(t)))
	made := create(t, s, some("a", "book"))
	late := row{Product: made, params: "{}"}
	again := func(what string) {
		if swapped, err := s.try(t.Context(), late); swapped || err != nil {
			t.Errorf("%s: inserted %t, %v", what, swapped, err)
		}
	}
	again("there")
	if err := s.Delete(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	again("deleted")
	anew := create(t, s, some("a", "film"))
	if now, err := s.swap(t.Context(), late); err != nil || now.Version != anew.Version {
		t.Errorf("made anew: the version is %s, %v", now.Version, err)
	}
}

func TestMarkersOfADayAgoAreSwept(t *testing.T) {
	t.Parallel()
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	s := opened(t, migrated(t, options(t, []string{p.Addr()}, database)))
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		create(t, s, some(id, "book"))
	}
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Delete(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
	}
	p.SQL(t, database, "UPDATE product SET gone = now() - interval '25 hours' WHERE id < 'c'")
	if err := s.Delete(t.Context(), "d", ""); err != nil {
		t.Fatal(err)
	}
	if got := p.SQL(t, database, "SELECT string_agg(id, ' ' ORDER BY id) FROM product"); got != "c d e" {
		t.Errorf("rows left: %s, want c d e", got)
	}
	create(t, s, some("a", "film"))
	if _, err := s.Create(t.Context(), some("a", "film")); !errors.Is(err, product.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
}

func TestAWriteIsFoundThoughOthersReplacedItManyTimes(t *testing.T) {
	t.Parallel()
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	s := opened(t, migrated(t, options(t, []string{p.Addr()}, database)))
	first := create(t, s, some("a", "book"))
	second, err := s.Update(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := s.Update(t.Context(), product.Product{ID: "a", Type: "book", Name: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	made := row{Product: second, previous: first.Version}
	if now, err := s.settle(t.Context(), made, io.EOF); err != nil || now.Version != second.Version {
		t.Errorf("a write that was made: %s, %v", now.Version, err)
	}
	not := row{Product: product.Product{ID: "a", Version: "never"}, previous: first.Version}
	if now, err := s.settle(t.Context(), not, io.EOF); err != nil || now.Version == "never" {
		t.Errorf("a write that was not: %s, %v", now.Version, err)
	}
	if got := p.SQL(t, database, "SELECT count(*) FROM product_past"); got != "3" {
		t.Errorf("%s rows of the past after 101 updates, want 3", got)
	}
	p.SQL(t, database, "UPDATE product_past SET at = now() - interval '11 minutes'")
	for range 32 {
		if _, err := s.Update(t.Context(), product.Product{ID: "a", Type: "book", Name: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.SQL(t, database, "SELECT count(*) FROM product_past"); got != "2" {
		t.Errorf("%s rows of the past eleven minutes later, want 2", got)
	}
	if _, err := s.settle(t.Context(), not, io.EOF); !errors.Is(err, errUnknown) {
		t.Errorf("a write eleven minutes later: %v, want that it is not known", err)
	}
}

func TestWhatARowTells(t *testing.T) {
	is := row{Product: product.Product{ID: "a", Version: "v5"}, first: "v1", trail: []string{"v4", "v3"}}
	for _, tt := range []struct {
		r           row
		to, in      string
		made, known bool
	}{
		{is, "v5", "v4", true, true},
		{is, "v4", "v3", true, true},
		{is, "v1", "", true, true},
		{is, "x", "v3", false, true},
		{is, "x", "v2", false, false},
		{is, "x", "", false, true},
		{row{}, "x", "v1", false, true},
	} {
		made, known := tt.r.tells(row{Product: product.Product{ID: "a", Version: tt.to}, previous: tt.in})
		if made != tt.made || known != tt.known {
			t.Errorf("%s in the place of %s: made %t, known %t", tt.to, tt.in, made, known)
		}
	}
}
