package postgres

import (
	"testing"

	"flyball/app/product"
	"flyball/app/product/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) product.Store { return opened(t, migrated(t, empty(t))) })
}
