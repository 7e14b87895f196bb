package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler"
)

// making is one growth: members of one template.
type making struct {
	*droplets
	image             godo.DropletCreateImage
	userData, version string
}

// ask asks for Droplets of those names, at most a chunk: of the first offer that is to
// be had.
func (m making) ask(ctx context.Context, names []string) error {
	offers, again := m.shelf.offers(m.now())
	lacks := len(offers) < len(m.shelf.all)
	var refusals []error
	for _, o := range offers {
		err := m.create(ctx, names, o)
		switch {
		case isMisplaced(err):
			m.log.Warn("what members are made of is not in a region", "region", o.region, "err", err)
		case isSoldOut(err):
			lacks = true
			m.shelf.refused(o, m.now())
			m.log.Warn("a size is not to be had in a region", "size", o.size, "region", o.region, "err", err)
		default:
			return err
		}
		refusals = append(refusals, err)
	}
	if !lacks {
		return fmt.Errorf("make %v: bring the image there, or leave the region out: %w", names, errors.Join(refusals...))
	}
	if len(offers) == 0 {
		return fmt.Errorf("make %v: %w: no size of %v is to be had in %v; asked again after %s: name more sizes or regions",
			names, scaler.ErrNoCapacity, m.spec.Sizes, m.spec.Regions, again.UTC().Format(time.TimeOnly))
	}
	return fmt.Errorf("make %v: %w: no size is to be had in any region: %w", names, scaler.ErrNoCapacity, errors.Join(refusals...))
}

// create asks for Droplets of one offer. What the account has no room for is left out.
func (m making) create(ctx context.Context, names []string, o offer) error {
	err := m.post(ctx, names, o)
	if !isOverLimit(err) {
		return err
	}
	acc, _, limitErr := m.account.write.Account.Get(ctx)
	if limitErr != nil {
		return fmt.Errorf("%w: %w", scaler.ErrNoCapacity, err)
	}
	m.account.fleet.learn(func(k *limitsKnown) { k.droplets = acc.DropletLimit })
	_, headroom := m.account.fleet.headroom()
	room := headroom - m.unlisted()
	if room < 1 || room >= len(names) {
		return fmt.Errorf("%w: %w", err, left(names, acc.DropletLimit))
	}
	if err := m.post(ctx, names[:room], o); err != nil {
		return err
	}
	return left(names[room:], acc.DropletLimit)
}

// post sends the one request that makes Droplets, and is never repeated by itself.
func (m making) post(ctx context.Context, names []string, o offer) error {
	made, res, err := m.account.write.Droplets.CreateMultiple(ctx, m.request(names, o, m.image, m.userData, m.version))
	what := "make " + strings.Join(names, ", ") + " of size " + o.size + " in " + o.region
	if err != nil {
		if m.mayHaveMade(err) {
			m.doubt(names, o)
			return fmt.Errorf("%w: %w", explain(what, err), errDoubt)
		}
		return explain(what, err)
	}
	var links []godo.LinkAction
	if res.Links != nil {
		links = res.Links.Actions
	}
	rest := m.born(made, links, names, o)
	if len(rest) > 0 {
		m.doubt(rest, o)
		return fmt.Errorf("%s: %w: the answer does not name %v", what, errDoubt, rest)
	}
	return nil
}

// mayHaveMade reports whether a failure leaves open what was done: an answer that was
// lost, or of a server that failed. What was refused was not done.
func (m making) mayHaveMade(err error) bool {
	if errors.Is(err, errSpent) || errors.Is(err, errNoToken) {
		return false
	}
	code := statusOf(err)
	return code == 0 || code >= 500
}

// born remembers what was accepted, and returns the names that were not.
func (m making) born(made []godo.Droplet, links []godo.LinkAction, names []string, o offer) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := slices.Clone(names)
	for i, d := range made {
		b := &birth{Droplet: d, offer: o, version: m.version, made: m.now()}
		if len(links) == len(made) {
			b.action = links[i].ID
		}
		if len(b.Tags) == 0 { // they are put on later
			b.Tags = []string{markTag, m.spec.Tag, versionTag + m.version}
		}
		m.births[d.ID] = b
		delete(m.doubts, d.Name)
		rest = slices.DeleteFunc(rest, func(n string) bool { return n == d.Name })
		m.log.Info("member asked for", "member", d.Name, "droplet", d.ID, "size", o.size, "region", o.region)
	}
	return rest
}

// isOverLimit reports whether the account may not have so many Droplets.
func isOverLimit(err error) bool {
	return statusOf(err) == 422 && strings.Contains(saysOf(err), "droplet limit")
}

// isMisplaced reports whether the image or the network is not in the region: the size
// may well be.
func isMisplaced(err error) bool {
	says := saysOf(err)
	return statusOf(err) == 422 && strings.Contains(says, "not available") && (strings.Contains(says, "image") || strings.Contains(says, "vpc"))
}

// isSoldOut reports whether what was asked for is not to be had there.
func isSoldOut(err error) bool {
	code, says := statusOf(err), saysOf(err)
	return code == 422 && (strings.Contains(says, "not available") || strings.Contains(says, "unavailable") || strings.Contains(says, "sold out"))
}
