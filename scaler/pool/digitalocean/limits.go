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
	imageAge   = 5 * time.Minute
	limitRetry = 5 * time.Minute
)

// limitsKnown is what holds for the whole account; what it refers to is never changed.
type limitsKnown struct {
	droplets   int                // the most there may be; 0 is unknown
	prices     map[string]float64 // USD an hour, by size
	images     []godo.Image       // the account's own
	imagesRead bool               // they are known
}

// limits reads it; whoever lists the Droplets does, now and then.
type limits struct {
	limitDue, priceDue, imageDue time.Time // when each is read again
}

// refresh reads what is due. What cannot be read stays as it was: a pool is not
// stopped for a price.
func (l *limits) refresh(ctx context.Context, f *fleet) {
	a := f.account
	now := a.now()
	refresh := func(due *time.Time, age time.Duration, what string, read func() error) {
		if now.Before(*due) {
			return
		}
		*due = now.Add(age)
		if err := read(); err != nil {
			*due = now.Add(limitRetry)
			a.log.Warn("what holds for the account is not known", "err", explain(what, err))
		}
	}
	refresh(&l.limitDue, limitAge, "ask for the account's Droplet limit", func() error {
		acc, _, err := a.read.Account.Get(ctx)
		if err == nil {
			f.learn(func(k *limitsKnown) { k.droplets = acc.DropletLimit })
		}
		return err
	})
	refresh(&l.priceDue, pricesAge, "list sizes for their prices", func() error {
		sizes, err := listed(ctx, a.read.Sizes.List)
		if err == nil {
			f.learn(func(k *limitsKnown) { k.prices = pricesOf(sizes) })
		}
		return err
	})
	if !f.usesImages() {
		return
	}
	refresh(&l.imageDue, imageAge, "list the account's images", func() error {
		images, err := listed(ctx, a.read.Images.ListUser)
		if err == nil {
			f.learn(func(k *limitsKnown) { k.images, k.imagesRead = images, true })
		}
		return err
	})
}

func pricesOf(sizes []godo.Size) map[string]float64 {
	prices := map[string]float64{}
	for _, s := range sizes {
		prices[s.Slug] = s.PriceHourly
	}
	return prices
}
