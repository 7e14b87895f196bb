package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/digitalocean/godo"
)

// pageSize is the most that DigitalOcean lists at once.
const pageSize = 200

// tagLag is how long what was done to a tag here is believed more than the list.
const tagLag = time.Minute

// Reading the list may take so long; a look waits for a part of that if there is a
// list that is not too old.
const (
	listTime = 30 * time.Second
	listWait = 2 * time.Second
	oldest   = 90 * time.Second
)

// fleet is the list of all Droplets of an account, one for all of its pools. It is
// safe for concurrent use.
type fleet struct {
	account *account
	metrics *Metrics
	limits  limits // read by the reading that is under way

	mu      sync.Mutex
	list    []godo.Droplet // never changed, only replaced
	at      time.Time      // when its reading began; zero: never
	dirty   bool           // something was done since
	current *reading       // under way; nil: none
	tags    map[tagging]tagged
	known   limitsKnown
	images  bool // some pool's image may be called by a name
}

type tagging struct {
	droplet int
	tag     string
}

// tagged is what was done to a tag here.
type tagged struct {
	on bool
	at time.Time
}

func newFleet(a *account, m *Metrics) *fleet {
	return &fleet{account: a, metrics: m, tags: map[tagging]tagged{}}
}

// droplets returns all Droplets of the account, as of a moment that is not longer
// ago than the budget allows; busy: something is under way in the caller's pool. Of
// many who ask at the same time one has it read, and all wait for that. Where it takes
// long, they get the list as it was, and the next who ask the new one. The list is the
// callers' to read, not to change.
func (f *fleet) droplets(ctx context.Context, busy bool) ([]godo.Droplet, time.Time, error) {
	for again := false; ; again = true {
		if err := ctx.Err(); err != nil {
			return nil, time.Time{}, err
		}
		r, joined := f.reading(ctx, busy)
		if r == nil {
			list, at := f.latest()
			return list, at, nil
		}
		if err := f.wait(ctx, r); err != nil {
			return f.stale(err)
		}
		if list, at, dirty := f.state(); again || !joined || !dirty {
			return list, at, nil
		} // what was read is from before something was done
	}
}

// reading is one reading of the list.
type reading struct {
	done chan struct{} // closed when it is over
	err  error         // read after that
}

// reading returns the reading that is under way, or begins one; nil: the list is young
// enough. It ends by itself, and not with who asked for it: an account of many pages
// may take longer than one look.
func (f *fleet) reading(ctx context.Context, busy bool) (r *reading, joined bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fresh(busy) {
		return nil, false
	}
	if f.current != nil {
		return f.current, true
	}
	r = &reading{done: make(chan struct{})}
	f.current = r
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTime)
		defer cancel()
		r.err = f.refresh(ctx)
		f.mu.Lock()
		f.current = nil
		f.mu.Unlock()
		close(r.done)
	}()
	return r, false
}

// wait waits for a reading; for a part of a look only where there is a list that will do.
func (f *fleet) wait(ctx context.Context, r *reading) error {
	if _, at := f.latest(); f.willDo(at) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, listWait)
		defer cancel()
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("wait for it: %w", ctx.Err())
	}
}

// fresh reports whether the list is young enough; the caller has the lock.
func (f *fleet) fresh(busy bool) bool {
	if f.at.IsZero() || f.dirty {
		return false
	}
	return f.account.now().Sub(f.at) < f.account.budget.age(1+len(f.list)/pageSize, busy)
}

// latest returns the list as it is.
func (f *fleet) latest() ([]godo.Droplet, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list, f.at
}

// state returns the list as it is, and whether something was done since.
func (f *fleet) state() ([]godo.Droplet, time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list, f.at, f.dirty
}

// willDo reports whether a list of that time is good enough where there is none that is
// newer.
func (f *fleet) willDo(at time.Time) bool {
	return !at.IsZero() && f.account.now().Sub(at) < oldest
}

// stale returns the list where calls are short or answers slow, unless it is too old:
// then nothing is known.
func (f *fleet) stale(err error) ([]godo.Droplet, time.Time, error) {
	list, at := f.latest()
	short := errors.Is(err, errSpent) || statusOf(err) == http.StatusTooManyRequests
	slow := errors.Is(err, context.DeadlineExceeded)
	if (short || slow) && f.willDo(at) {
		return list, at, nil
	}
	return nil, at, explain("list Droplets", err)
}

// refresh reads the list anew, and from time to time what else holds for all.
func (f *fleet) refresh(ctx context.Context) error {
	f.mu.Lock()
	began := f.account.now()
	wasDirty := f.dirty
	f.dirty = false // what is done from now on may be missing
	f.mu.Unlock()
	list, err := f.read(ctx)
	f.mu.Lock()
	if err != nil {
		f.dirty = f.dirty || wasDirty
		f.mu.Unlock()
		return err
	}
	for k, t := range f.tags {
		if began.Sub(t.at) > tagLag {
			delete(f.tags, k)
		}
	}
	f.list, f.at = f.retag(list), began
	f.mu.Unlock()
	f.metrics.listed.WithLabelValues(f.account.name).Set(float64(began.UnixNano()) / 1e9)
	f.metrics.droplets.WithLabelValues(f.account.name).Set(float64(len(list)))
	f.limits.refresh(ctx, f)
	return nil
}

// read reads all pages. A list that is shorter than it says itself is not believed:
// Droplets came or went between two pages.
func (f *fleet) read(ctx context.Context) ([]godo.Droplet, error) {
	var all []godo.Droplet
	seen := map[int]bool{}
	for page := 1; ; page++ {
		part, res, err := f.account.read.Droplets.List(ctx, &godo.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, err
		}
		for _, d := range part {
			if !seen[d.ID] {
				seen[d.ID] = true
				all = append(all, d)
			}
		}
		if res.Links == nil || res.Links.IsLastPage() || len(part) == 0 {
			if res.Meta != nil && res.Meta.Total > len(all) {
				return nil, fmt.Errorf("the list has %d Droplets and says that there are %d", len(all), res.Meta.Total)
			}
			return all, nil
		}
	}
}

// retag puts the tags as they were set here where the list may not know it yet; the
// caller has the lock.
func (f *fleet) retag(list []godo.Droplet) []godo.Droplet {
	if len(f.tags) == 0 {
		return list
	}
	out := slices.Clone(list)
	for i, d := range out {
		for k, t := range f.tags {
			if k.droplet == d.ID && slices.Contains(d.Tags, k.tag) != t.on {
				out[i].Tags = with(out[i].Tags, k.tag, t.on)
			}
		}
	}
	return out
}

// with is tags with one more or one fewer.
func with(tags []string, tag string, on bool) []string {
	out := slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return t == tag })
	if on {
		out = append(out, tag)
	}
	return out
}

// changed says that something was done: whoever looks next reads the list anew.
func (f *fleet) changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty = true
}

// tag gives Droplets a tag, or takes it from them, in one call.
func (f *fleet) tag(ctx context.Context, tag string, on bool, ids ...int) error {
	if len(ids) == 0 {
		return nil
	}
	var rs []godo.Resource
	for _, id := range ids {
		rs = append(rs, godo.Resource{ID: fmt.Sprint(id), Type: godo.DropletResourceType})
	}
	tags := f.account.write.Tags
	var err error
	if on {
		_, err = tags.TagResources(ctx, tag, &godo.TagResourcesRequest{Resources: rs})
		if statusOf(err) == 404 { // nobody bears it yet, so it is not there
			if _, _, err = tags.Create(ctx, &godo.TagCreateRequest{Name: tag}); err == nil || statusOf(err) == 422 {
				_, err = tags.TagResources(ctx, tag, &godo.TagResourcesRequest{Resources: rs})
			}
		}
	} else if _, err = tags.UntagResources(ctx, tag, &godo.UntagResourcesRequest{Resources: rs}); statusOf(err) == 404 && len(ids) == 1 {
		err = nil // it is gone, or the tag is: it does not bear it
	}
	if statusOf(err) == 404 { // of Droplets that are gone
		return f.tagEach(ctx, tag, on, ids)
	}
	if err != nil {
		return explain("set tag "+tag, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.tags[tagging{id, tag}] = tagged{on, f.account.now()}
	}
	f.list = f.retag(f.list)
	return nil
}

// tagEach does what tag does for one after the other: one that is gone keeps it from
// all of them. Of a Droplet that is gone no tag matters any more.
func (f *fleet) tagEach(ctx context.Context, tag string, on bool, ids []int) error {
	if len(ids) < 2 {
		return nil
	}
	return each(ids, func(id int) error { return f.tag(ctx, tag, on, id) })
}

// headroom returns what holds for the account, and how many Droplets more there may
// be, as far as both are known.
func (f *fleet) headroom() (limitsKnown, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known, f.known.droplets - len(f.list)
}

// learn takes over what was found to hold for the account.
func (f *fleet) learn(change func(*limitsKnown)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.known)
}

// useImages says that a pool's image may be called by a name, so that the account's own
// images are read from time to time.
func (f *fleet) useImages() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.images = true
}

func (f *fleet) usesImages() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.images
}
