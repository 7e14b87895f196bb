// Package sqlite keeps products in one SQLite file, which several processes may
// use at once: it is in WAL mode, so readers never wait for a writer, and writers
// take turns.
//
// A write survives the death of the process (kill -9) as soon as it has returned.
// The file survives a loss of power too, though the last writes before it may not.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"flyball/app/product"
)

// readers is how many reads of one process run at once; more wait.
const readers = 4

// Store is a [product.Store] in a file. Make it with [Open].
type Store struct {
	write *sql.DB // one connection: writers of this process queue here, not at the file
	read  *sql.DB
}

var _ product.Store = (*Store)(nil)

// Open opens the database in a file, which is made if it is not there; its folder
// has to exist. The path is a file's: databases in memory are not for sharing.
func Open(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{}
	if s.write, err = sql.Open("sqlite", dsn(abs)); err != nil {
		return nil, fmt.Errorf("open database %s: %w", abs, err)
	}
	if s.read, err = sql.Open("sqlite", dsn(abs)); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", abs, err), s.write.Close())
	}
	s.write.SetMaxOpenConns(1)
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	err = patiently(ctx, func(ctx context.Context) error { return migrate(ctx, s.write) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", abs, err), s.Close())
	}
	return s, nil
}

// dsn names the file as a URI, so that any character may stand in a path.
func dsn(abs string) string {
	q := url.Values{
		"_pragma": {"busy_timeout(1000)", "journal_mode(WAL)", "synchronous(NORMAL)", "journal_size_limit(16777216)"},
		"_txlock": {"immediate"},
	}
	return (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String()
}

// Close closes the database after the calls in progress.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// columns are those of a product, in the order in which scan reads them.
const columns = "id, type, name, parameters, version, created, updated"

// Create is described at [product.Store].
func (s *Store) Create(ctx context.Context, p product.Product) (product.Product, error) {
	params, err := p.Parameters.Encode()
	if err != nil {
		return product.Product{}, err
	}
	p.Version = product.NewVersion()
	err = patiently(ctx, func(ctx context.Context) error {
		row := s.write.QueryRowContext(ctx, "INSERT INTO product ("+columns+") VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING "+columns,
			p.ID, p.Type, p.Name, params, p.Version, p.Created.UnixMicro(), p.Updated.UnixMicro())
		made, err := scan(row)
		p = or(made, p, err)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = product.ErrExists
	}
	return result(p, "create", err)
}

// Get is described at [product.Store].
func (s *Store) Get(ctx context.Context, id string) (p product.Product, err error) {
	err = patiently(ctx, func(ctx context.Context) error {
		p, err = scan(s.read.QueryRowContext(ctx, "SELECT "+columns+" FROM product WHERE id = ?", id))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = product.ErrNotFound
	}
	return result(p, "get", err)
}

// Update is described at [product.Store].
func (s *Store) Update(ctx context.Context, p product.Product) (product.Product, error) {
	params, err := p.Parameters.Encode()
	if err != nil {
		return product.Product{}, err
	}
	next := product.NewVersion()
	err = patiently(ctx, func(ctx context.Context) error {
		row := s.write.QueryRowContext(ctx, "UPDATE product SET type = ?, name = ?, parameters = ?, version = ?, updated = ? WHERE id = ? AND (? = '' OR version = ?) RETURNING "+columns,
			p.Type, p.Name, params, next, p.Updated.UnixMicro(), p.ID, p.Version, p.Version)
		got, err := scan(row)
		p = or(got, p, err)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = s.missed(ctx, p.ID)
	}
	return result(p, "update", err)
}

// Delete is described at [product.Store].
func (s *Store) Delete(ctx context.Context, id, version string) error {
	var gone int64
	err := patiently(ctx, func(ctx context.Context) error {
		res, err := s.write.ExecContext(ctx, "DELETE FROM product WHERE id = ? AND (? = '' OR version = ?)", id, version, version)
		if err != nil {
			return err
		}
		gone, err = res.RowsAffected()
		return err
	})
	if err == nil && gone == 0 {
		err = s.missed(ctx, id)
	}
	_, err = result(product.Product{}, "delete", err)
	return err
}

// missed says why a write found nothing to change. The product may come or go
// between the write and this look: either answer was then true at some time.
func (s *Store) missed(ctx context.Context, id string) error {
	if _, err := s.Get(ctx, id); err != nil {
		return err
	}
	return product.ErrConflict
}

// Ping is described at [product.Store].
func (s *Store) Ping(ctx context.Context) error {
	err := patiently(ctx, func(ctx context.Context) error {
		var n int
		return s.read.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM product LIMIT 1)").Scan(&n)
	})
	if err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// or gives what was read, or what stood there before if the reading failed.
func or(got, before product.Product, err error) product.Product {
	if err != nil {
		return before
	}
	return got
}

func result(p product.Product, operation string, err error) (product.Product, error) {
	if err != nil {
		return product.Product{}, fmt.Errorf("%s product: %w", operation, err)
	}
	return p, nil
}

type row interface{ Scan(dest ...any) error }

func scan(r row) (product.Product, error) {
	var (
		p                product.Product
		params           string
		created, updated int64
	)
	if err := r.Scan(&p.ID, &p.Type, &p.Name, &params, &p.Version, &created, &updated); err != nil {
		return product.Product{}, err
	}
	p.Created, p.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	var err error
	if p.Parameters, err = product.DecodeParameters(params); err != nil {
		return product.Product{}, fmt.Errorf("product %s: %w", p.ID, err)
	}
	return p, nil
}
