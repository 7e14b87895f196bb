package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/digitalocean/godo"

	"flyball/rules"
)

// checkup is one look at what a pool depends on. It only reads.
type checkup struct {
	*Pool
	most  int
	found []rules.Finding
	short bool // something was not looked at, for calls are short
}

// Preflight looks at what the pool depends on before it is needed, and says of each
// what is wrong and how to mend it; most is the largest number of members that a rule
// may want. It takes about a dozen calls of the API, and changes nothing.
func (p *Pool) Preflight(ctx context.Context, most int) []rules.Finding {
	c := &checkup{Pool: p, most: most}
	limit, ok := c.token(ctx)
	if !ok && !c.short {
		return c.found
	}
	switch target := p.Pool.(type) {
	case *autoscale:
		c.autoscale(ctx, target, limit)
	case *nodes:
		c.nodes(ctx, target, limit)
	case *droplets:
		c.droplets(ctx, target, limit)
	}
	c.calls()
	return c.found
}

func (c *checkup) ok(what, format string, args ...any) {
	c.found = append(c.found, rules.Finding{OK: true, What: what, Text: fmt.Sprintf(format, args...)})
}

func (c *checkup) wrong(what, hint, format string, args ...any) {
	c.found = append(c.found, rules.Finding{What: what, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// failed reports whether something could not be read, and says so. Which scopes a
// token has is not told by the API: one is missing where it forbids.
func (c *checkup) failed(what, scope string, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, errSpent):
		c.short = true
	case statusOf(err) == http.StatusForbidden:
		c.wrong(what, "make a token that has the scope "+scope+", too, and write it into "+c.cfg.TokenFile, "cannot be read: the token lacks the scope %s", scope)
	default:
		c.wrong(what, "try again; if it stays so, see DigitalOcean's status page", "cannot be read: %s", explain("ask for it", err))
	}
	return true
}

// isMissing reports whether the API has nothing of that name.
func isMissing(err error) bool { return statusOf(err) == http.StatusNotFound }

// token looks whether the API is reached and takes the token, and whether the account
// may be used; it returns the account's Droplet limit, 0 if it is not known.
func (c *checkup) token(ctx context.Context) (limit int, ok bool) {
	acc, _, err := c.account.read.Account.Get(ctx)
	switch {
	case errors.Is(err, errSpent):
		c.short = true
		return 0, false
	case errors.Is(err, errNoToken):
		c.wrong("token", "write the API token, alone, into "+c.cfg.TokenFile, "%s", err)
		return 0, false
	case statusOf(err) == http.StatusUnauthorized:
		c.wrong("token", "make a new one in the control panel and write it into "+c.cfg.TokenFile, "is not accepted by %s: it was revoked, has expired, or is another account's", c.cfg.Endpoint)
		return 0, false
	case statusOf(err) == http.StatusForbidden:
		c.failed("account", "account:read", err)
		return 0, true
	case err != nil:
		c.wrong("API", "see whether this machine may reach it, and that endpoint is right", "%s is not reached: %s", c.cfg.Endpoint, explain("ask for the account", err))
		return 0, false
	}
	c.ok("token", "is accepted; whether it may make and end members is not told before it does")
	if acc.Status != "" && acc.Status != "active" {
		c.wrong("account", "see to it in the control panel, or nothing can be made", "is %s: %s", acc.Status, acc.StatusMessage)
	}
	return acc.DropletLimit, true
}

// limit looks whether the account has room for as many members as a rule may want.
// own is how many of the Droplets that there are the pool has already.
func (c *checkup) limit(limit, all, own int) {
	others := all - own
	switch {
	case limit == 0: // why was said where the account was looked at
	case others+c.most > limit:
		c.wrong("Droplet limit", fmt.Sprintf("ask DigitalOcean for a limit of %d at least, end others, or write max: %d", others+c.most, max(0, limit-others)),
			"is %d, and there are %d other Droplets: the pool can have %d members, and its rule may want %d", limit, others, max(0, limit-others), c.most)
	default:
		c.ok("Droplet limit", "is %d: there is room for %d members beside %d other Droplets", limit, limit-others, others)
	}
}

// hour is how many calls there are an hour.
func (b *budget) hour() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit
}

// calls looks whether enough of the hour's calls is left.
func (c *checkup) calls() {
	left, limit := c.account.budget.left(), c.account.budget.hour()
	const hint = "give Flyball a token of its own, and see who else uses this one"
	switch {
	case c.short:
		c.wrong("API calls", hint, "only %d of %d are left this hour, or the minute's are spent: not all was looked at", left, limit)
		return
	case left <= limit/reserveShare:
		c.wrong("API calls", hint, "only %d of %d are left this hour", left, limit)
		return
	}
	c.ok("API calls", "%d of %d are left this hour", left, limit)
}

// offers looks whether members can be had: which of the sizes in which of the regions.
// It is wrong if none is; the others are there for when one is sold out.
func (c *checkup) offers(ctx context.Context, regions, sizes []string) {
	all, err := listed(ctx, c.account.read.Regions.List)
	if c.failed("region", "regions:read", err) {
		return
	}
	sold, err := listed(ctx, c.account.read.Sizes.List)
	if c.failed("size", "sizes:read", err) {
		return
	}
	in := c.regions(all, regions)
	known := map[string]godo.Size{}
	for _, s := range sold {
		known[s.Slug] = s
	}
	var have, lack []string
	for _, slug := range sizes {
		s, is := known[slug]
		if !is {
			c.wrong("size", "copy one from doctl compute size list", "%s is not known to DigitalOcean", slug)
			continue
		}
		for _, r := range in {
			if s.Available && slices.Contains(s.Regions, r.Slug) && r.Available {
				have = append(have, slug+" in "+r.Slug)
			} else {
				lack = append(lack, slug+" in "+r.Slug)
			}
		}
	}
	switch {
	case len(have) == 0 && len(lack) > 0:
		c.wrong("size", "write more sizes or regions; doctl compute size list says what there is", "%s: not to be had now", strings.Join(lack, ", "))
	case len(lack) > 0:
		c.ok("size", "%s can be had; not now: %s", strings.Join(have, ", "), strings.Join(lack, ", "))
	case len(have) > 0:
		c.ok("size", "%s can be had", strings.Join(have, ", "))
	}
}

// regions picks those that the names stand for, and says which there are not, or are
// closed.
func (c *checkup) regions(all []godo.Region, names []string) []godo.Region {
	var in []godo.Region
	for _, name := range names {
		var open, closed []string
		for _, r := range all {
			switch {
			case !standsFor(name, r.Slug):
			case r.Available:
				open, in = append(open, r.Slug), append(in, r)
			default:
				closed = append(closed, r.Slug)
			}
		}
		switch {
		case len(open) > 0:
			c.ok("region", "%s is open: %s", name, strings.Join(open, ", "))
		case len(closed) > 0:
			c.wrong("region", "write another one", "%s takes no new Droplets now", name)
		default:
			c.wrong("region", "copy one from doctl compute region list", "%s is not known to DigitalOcean", name)
		}
	}
	return in
}

// standsFor reports whether a region's name means the one of a slug: nyc any of nyc1
// to nyc3.
func standsFor(name, slug string) bool {
	rest, ok := strings.CutPrefix(slug, name)
	return ok && strings.Trim(rest, "0123456789") == "" && (rest == "" || !strings.ContainsAny(name[len(name)-1:], "0123456789"))
}

// listed reads all pages of a list.
func listed[T any](ctx context.Context, list func(context.Context, *godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	var all []T
	for page := 1; ; page++ {
		part, res, err := list(ctx, &godo.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if res.Links == nil || res.Links.IsLastPage() || len(part) == 0 {
			return all, nil
		}
	}
}
