package traffic

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A verdict is what one check said of a member.
type verdict int

const (
	answers verdict = iota // takes requests
	denies                 // says itself that it does not
	slow                   // said nothing in time
	refuses                // takes no connection: it is not there
)

// checkEvery is how often members are asked whether they take requests.
const checkEvery = time.Second

// watch checks every member each second until ctx ends and every check is done.
// A member's checks never overlap, so a slow one delays nobody else.
func (b *Balancer) watch(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		for _, m := range b.table.toProbe() {
			wg.Go(func() { b.table.probed(m, b.probe(ctx, m), time.Now()) })
		}
		if b.table.forget(time.Now()) {
			b.keepOrSay()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// toProbe lists the members that no check is under way for, and marks them.
func (t *table) toProbe() []*backend {
	t.mu.Lock()
	defer t.mu.Unlock()
	var bs []*backend
	for _, b := range t.backends {
		if !b.probing {
			b.probing = true
			bs = append(bs, b)
		}
	}
	return bs
}

// probed takes a check's verdict down. One yes is enough to be up; a plain no or
// a refused connection is enough to be down; silence is not.
func (t *table) probed(b *backend, v verdict, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.probing = false
	if v == slow {
		b.slow++
		b.up = b.up && b.slow < slowProbes
		return
	}
	b.slow = 0
	switch v {
	case refuses:
		b.down(now)
	case denies:
		b.up, b.lost = false, time.Time{}
	case answers:
		b.lost = time.Time{}
		if !b.up {
			b.up = true
			t.tell()
		}
	}
}

// forget drops the members that have refused connections for long.
func (t *table) forget(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keep(func(b *backend) bool {
		if b.lost.IsZero() || b.open > 0 {
			return true
		}
		if b.admitted {
			return now.Sub(b.lost) < forgetAdmitted
		}
		return now.Sub(b.lost) < forgetWithdrawn
	})
}

func (b *Balancer) probe(ctx context.Context, m *backend) verdict {
	check := b.table.checking()
	ctx, cancel := context.WithTimeout(ctx, check.Timeout)
	defer cancel()
	if check.HTTP == "" {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", m.addr)
		if err != nil {
			return failure(err)
		}
		_ = conn.Close() // nothing was written
		return answers
	}
	return b.ask(ctx, "http://"+m.addr+check.HTTP)
}

func (b *Balancer) ask(ctx context.Context, url string) verdict {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return denies
	}
	res, err := b.prober.RoundTrip(req)
	if err != nil {
		return failure(err)
	}
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // the status was the answer
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 399 {
		return denies
	}
	return answers
}

func (t *table) checking() Check {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.check
}

// failure tells a member that is slow from one that is not there.
func failure(err error) verdict {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() {
		return slow
	}
	if unsent(err) {
		return refuses
	}
	return denies
}

// newProber connects anew for each check: an old connection says nothing about
// whether a new one is taken.
func newProber() *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DisableCompression: true}
}
