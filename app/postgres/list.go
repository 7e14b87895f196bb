package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"flyball/app/product"
)

const (
	listAll  = "SELECT " + columns + " FROM product WHERE id > $1 AND gone IS NULL ORDER BY id LIMIT $2"
	listType = "SELECT " + columns + " FROM product WHERE type = $3 AND id > $1 AND gone IS NULL ORDER BY id LIMIT $2"
)

// List is described at [product.Store].
func (s *Store) List(ctx context.Context, q product.Query) (product.Page, error) {
	var after product.Cursor
	if q.Token != "" {
		var err error
		if after, err = product.ParseToken(q.Token, q.Type); err != nil {
			return product.Page{}, fmt.Errorf("list products: %w", err)
		}
	}
	return within(ctx, s, "list products", func(ctx context.Context) (page product.Page, err error) {
		err = s.repeatable(ctx, func(ctx context.Context, c *pgx.Conn) error {
			page, err = readPage(ctx, c, q, after.ID)
			return err
		})
		return page, err
	})
}

// readPage reads one product more than is asked for, to know whether there is a next
// page.
func readPage(ctx context.Context, c *pgx.Conn, q product.Query, after string) (product.Page, error) {
	statement, values := listAll, []any{after, q.Limit + 1}
	if q.Type != "" {
		statement, values = listType, append(values, q.Type)
	}
	rows, err := c.Query(ctx, statement, values...)
	if err != nil {
		return product.Page{}, err
	}
	defer rows.Close()
	var page product.Page
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return product.Page{}, err
		}
		page.Products = append(page.Products, r.Product)
	}
	if err := rows.Err(); err != nil {
		return product.Page{}, err
	}
	if len(page.Products) > q.Limit {
		page.Products = page.Products[:q.Limit]
		page.Next = product.Cursor{Type: q.Type, ID: page.Products[q.Limit-1].ID}.Token()
	}
	return page, nil
}
