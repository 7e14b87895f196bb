package product

import (
	"context"
	"errors"
)

// The errors that callers of a [Store] tell apart. Every other error means that
// the store failed; a write may then have been made or not.
var (
	ErrNotFound  = errors.New("no such product")
	ErrExists    = errors.New("a product with this id exists")
	ErrConflict  = errors.New("the product has another version")
	ErrPageToken = errors.New("not a page token of this listing")
	ErrBusy      = errors.New("the store is busy")
)

// A Store keeps products. It is safe for concurrent use, and several processes
// may use the same stored products at once. A write is durable against the death
// of the process, and seen by every later read of any process, when it returns.
//
// A store does not validate. It keeps none of the maps it is given and gives none
// that it keeps. When the context ends first, the error wraps the context's.
// [ErrBusy] says that others used the store for too long: the call did nothing
// and may be made again.
type Store interface {
	// Create keeps a new product as given, but for the version, which is new in
	// the answer. [ErrExists] if there is one with the same ID.
	Create(ctx context.Context, p Product) (Product, error)
	// Get finds a product by its ID, or [ErrNotFound].
	Get(ctx context.Context, id string) (Product, error)
	// List gives a page of the products of a type, or of all. Products that exist
	// throughout a listing come exactly once, in the order of their IDs.
	// [ErrPageToken] if the token was made for another type or not made here.
	List(ctx context.Context, q Query) (Page, error)
	// Update replaces type, name, parameters and time of update, if the stored
	// product still has p.Version; an empty p.Version replaces any. The answer has
	// the new version and the time of creation. [ErrNotFound], [ErrConflict].
	Update(ctx context.Context, p Product) (Product, error)
	// Delete forgets a product, if it still has the version; an empty one forgets
	// any. [ErrNotFound], [ErrConflict].
	Delete(ctx context.Context, id, version string) error
	// Ping reports whether the store could answer a read now.
	Ping(ctx context.Context) error
}

// A Query asks for one page of products.
type Query struct {
	Type  string // "" is every type
	Limit int    // at least 1
	Token string // of the page before; "" is the first page
}

// A Page is a part of a listing.
type Page struct {
	Products []Product
	Next     string // token of the next page; "" on the last
}
