package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"flyball/collector/haproxy"
	"flyball/rules"
)

const (
	mendWithin  = 5 * time.Second // one look at HAProxy, and what comes of it
	knockWithin = time.Second     // for a connection to a member that may be gone
)

// Run keeps HAProxy as wanted until ctx ends: once a second it gives members back
// that a reload or a restart forgot, writes the state of the servers if that has
// changed, and frees the slots of members that are gone. What hinders it is
// logged when it begins and when it ends.
func (h *HAProxy) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := h.mend(ctx); ctx.Err() == nil {
			h.say(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h *HAProxy) say(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	switch {
	case now == h.failing:
	case err == nil:
		h.cfg.Log.Info("HAProxy is as wanted again")
	default:
		h.cfg.Log.Error("HAProxy is not as wanted", "err", err)
	}
	h.failing = now
}

func (h *HAProxy) mend(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mendWithin)
	defer cancel()
	var doubtful []place
	err := h.locked(ctx, func() error {
		b, err := h.settle(ctx)
		if err != nil {
			return err
		}
		h.slots.forget(b.Servers, h.cfg.Now())
		doubtful = h.slots.doubtful(b.Servers, h.cfg.Now())
		return errors.Join(h.slots.full(b.Servers), h.save(ctx))
	})
	gone := knock(ctx, doubtful)
	return errors.Join(err, h.locked(ctx, func() error {
		h.slots.mourn(doubtful, gone, h.cfg.Now())
		return h.keep()
	}))
}

// doubtful are the places of members that may be gone: those in rotation that are
// not up, and those out of it for a while that have nothing open.
func (t *slots) doubtful(servers []haproxy.Server, now time.Time) []place {
	by := byName(servers)
	var ps []place
	for _, p := range t.Places {
		s := by[p.Slot]
		if p.In && p.Slot != "" && !(s.Checked && s.Up()) || !p.In && idle(s) && now.Sub(p.Since) >= forgetWithdrawn {
			ps = append(ps, p)
		}
	}
	return ps
}

// knock tries to connect to members, and tells who does not answer.
func knock(ctx context.Context, ps []place) map[rules.MemberID]bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	gone := map[rules.MemberID]bool{}
	places := make(chan bool, 64) // at once
	for _, p := range ps {
		wg.Go(func() {
			places <- true
			defer func() { <-places }()
			d := net.Dialer{Timeout: knockWithin}
			conn, err := d.DialContext(ctx, "tcp", p.Addr.String())
			if err == nil {
				_ = conn.Close() // nothing was said
				return
			}
			mu.Lock()
			defer mu.Unlock()
			gone[p.ID] = ctx.Err() == nil
		})
	}
	wg.Wait()
	return gone
}

// mourn forgets members that are gone: at once where they are out of rotation,
// and after a long time where nobody withdrew them.
func (t *slots) mourn(doubtful []place, gone map[rules.MemberID]bool, now time.Time) {
	was := map[rules.MemberID]place{}
	for _, p := range doubtful {
		was[p.ID] = p
	}
	for i := len(t.Places) - 1; i >= 0; i-- {
		p := &t.Places[i]
		o, asked := was[p.ID]
		switch {
		case !asked || !gone[p.ID] || o.Addr != p.Addr || o.In != p.In:
			p.lost = time.Time{}
		case p.lost.IsZero():
			p.lost = now
		}
		if !p.lost.IsZero() && (!p.In || now.Sub(p.lost) >= forgetAdmitted) {
			t.vacate(i, now)
		}
	}
}

// Stop takes all members out of rotation, waits until nothing is open to them,
// and frees their slots. What is still open when ctx ends is let go of.
func (h *HAProxy) Stop(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		left := 0
		err := h.locked(ctx, func() (err error) {
			left, err = h.release(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("free all slots: %w", err)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("free all slots: %d still have open requests: %w", left, ctx.Err())
		case <-tick.C:
		}
	}
}

// release frees the slots of those that have nothing open, and counts the others.
func (h *HAProxy) release(ctx context.Context) (left int, err error) {
	for i := range h.slots.Places {
		h.slots.turn(i, false, h.cfg.Now())
	}
	b, err := h.settle(ctx)
	if err != nil {
		return 0, err
	}
	by := byName(b.Servers)
	for i := len(h.slots.Places) - 1; i >= 0; i-- {
		if p := h.slots.Places[i]; p.Slot == "" || idle(by[p.Slot]) {
			h.slots.vacate(i, h.cfg.Now())
		}
	}
	b, err = h.settle(ctx)
	for _, s := range b.Servers {
		if h.slots.leaves(s) {
			left++
		}
	}
	return left + len(h.slots.Places), err
}
