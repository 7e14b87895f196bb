package digitalocean

import (
	"context"
	"time"

	"github.com/digitalocean/godo"
)

// How often what changes rarely is read, and when it is tried again after a failure.
const (
	limitAge   = time.Hour
	pricesAge  = 24 * time.Hour
	limitRetry = 5 * time.Minute
)

// limitsKnown is what holds for the whole account; a value, never changed.
type limitsKnown struct {
	droplets int                // the most there may be; 0 is unknown
	prices   map[string]float64 // USD an hour, by size
}

// limits reads it; whoever lists the Droplets does, now and then.
type limits struct {
	known              limitsKnown
	limitDue, priceDue time.Time // when each is read again
}

// refresh reads what is due. What cannot be read stays as it was: a pool is not
// stopped for a price.
func (l *limits) refresh(ctx context.Context, a *account) (limitsKnown, bool) {
	now, changed := a.now(), false
	if !now.Before(l.limitDue) {
		l.limitDue = now.Add(limitRetry)
		acc, _, err := a.read.Account.Get(ctx)
		if err == nil {
			l.known.droplets, l.limitDue, changed = acc.DropletLimit, now.Add(limitAge), true
		} else {
			a.log.Warn("the account's Droplet limit is not known", "err", explain("ask for the account", err))
		}
	}
	if !now.Before(l.priceDue) {
		l.priceDue = now.Add(limitRetry)
		prices, err := readPrices(ctx, a)
		if err == nil {
			l.known.prices, l.priceDue, changed = prices, now.Add(pricesAge), true
		} else {
			a.log.Warn("the sizes' prices are not known", "err", explain("list sizes", err))
		}
	}
	return l.known, changed
}

func readPrices(ctx context.Context, a *account) (map[string]float64, error) {
	prices := map[string]float64{}
	for page := 1; ; page++ {
		sizes, res, err := a.read.Sizes.List(ctx, &godo.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, err
		}
		for _, s := range sizes {
			prices[s.Slug] = s.PriceHourly
		}
		if res.Links == nil || res.Links.IsLastPage() || len(sizes) == 0 {
			return prices, nil
		}
	}
}
