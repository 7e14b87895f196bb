package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"flyball/collector/haproxy"
	"flyball/rules"
	"flyball/scaler"
)

var _ scaler.Traffic = (*HAProxy)(nil)

const (
	rounds       = 10               // of looking and telling, until HAProxy is as wanted
	answerWithin = 2 * time.Second  // for one answer: a call that meets a reload may get none
	upWithin     = 10 * time.Second // for HAProxy's own check to let a member in
)

// HAProxyConfig is what Flyball needs to know of somebody else's HAProxy.
type HAProxyConfig struct {
	Socket  string           // of its Runtime API, with level admin; see [haproxy.NewRuntime]
	Backend string           // whose slots the members fill
	State   string           // its server-state-file, which is written after every change
	Table   string           // file in which it is kept who is wanted where
	Log     *slog.Logger     // default: discards
	Now     func() time.Time // default: time.Now
}

// HAProxy is a pool's traffic through a HAProxy that is not ours: members fill
// the slots of a server-template line in one of its backends, through its
// Runtime API. It implements [scaler.Traffic] and is safe for concurrent use.
//
// What is wanted is kept in a file, and HAProxy is made to be so and then read
// again, at every call and once a second by [HAProxy.Run]. So a HAProxy that was
// reloaded or started anew gets its members back, whoever was told of a change
// last. For the moment until then it reads its own server-state-file, which is
// written whole after every change; several pools may share one.
//
// A slot is a server that was written with a name and stands at port 1 of the
// loopback: server-template web 1-20 localhost:1 check disabled. The name is
// needed: of a server that was written with an address, a reload restores the
// port alone. A server with the address of a member is that member's; any other
// is left alone. No server is ever added: those are lost at a reload whole.
//
// Requests are counted by HAProxy as sessions of the slot (scur) and as waiting
// for it (qcur). It picks a server and counts the session in one go, and a member
// out of rotation is drained. Only a cookie or a stick table may still send
// something there: so once nothing is open, the slot is put into maintenance and
// counted again before Open says zero. What is told of a member out of rotation
// is nothing, which means not known, while an earlier process of HAProxy, from
// before a reload, finishes requests that nobody else can count. One request is
// counted nowhere: one whose connection failed, before it is tried again. It may
// be tried at a member that is gone: so write `option redispatch`.
//
// What HAProxy's configuration needs; the last option keeps a reload from closing
// a client's connection in the moment in which it sends something:
//
//	global
//	    stats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
//	    server-state-file /var/lib/haproxy/state
//	defaults
//	    load-server-state-from-file global
//	    retries 3
//	    option redispatch
//	    option idle-close-on-response
//	backend be_app
//	    option httpchk GET /readyz
//	    server-template web 1-20 localhost:1 check disabled
type HAProxy struct {
	cfg     HAProxyConfig
	runtime *haproxy.Runtime
	turn    chan struct{} // holds one: whose turn it is
	slots   *slots        // nil: not read yet
	kept    []byte        // the table as it was last read or written
	unsaved bool          // HAProxy was told what is not in the state file yet
	worker  int           // HAProxy's process as last seen; 0: none yet
	near    bool          // its processes were seen on this machine
	failing string        // what Run logged last
}

// NewHAProxy returns a client; nothing is read or asked yet.
func NewHAProxy(c HAProxyConfig) *HAProxy {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Log = c.Log.With("haproxy", c.Socket, "backend", c.Backend)
	return &HAProxy{cfg: c, runtime: haproxy.NewRuntime(c.Socket), turn: make(chan struct{}, 1)}
}

// Admit puts members into rotation, and returns when HAProxy sends them requests,
// its own check included; what hinders it is said after ten seconds.
func (h *HAProxy) Admit(ctx context.Context, ms []rules.Member) error {
	var refused []error
	err := h.locked(ctx, func() error {
		for _, m := range ms {
			refused = append(refused, h.slots.admit(m, h.cfg.Now()))
		}
		b, err := h.settle(ctx)
		if err == nil {
			refused = append(refused, h.slots.full(b.Servers))
		}
		return err
	})
	if err == nil {
		err = h.awaitUp(ctx, ms)
	}
	if err := errors.Join(append(refused, err)...); err != nil {
		return fmt.Errorf("admit members: %w", err)
	}
	return nil
}

// Withdraw takes members out of rotation. When it returns, HAProxy picks none of
// them any more, and will not after a reload either.
func (h *HAProxy) Withdraw(ctx context.Context, ms []rules.Member) error {
	err := h.locked(ctx, func() error {
		for _, m := range ms {
			h.slots.withdraw(m, h.cfg.Now())
		}
		_, err := h.settle(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("withdraw members: %w", err)
	}
	return nil
}

// Open counts requests in progress per member, as far as they are known.
func (h *HAProxy) Open(ctx context.Context) (map[rules.MemberID]int, error) {
	var open map[rules.MemberID]int
	err := h.locked(ctx, func() error {
		b, err := h.settle(ctx)
		if err == nil && h.slots.seal(b.Servers) {
			b, err = h.settle(ctx)
		}
		open = h.slots.open(b.Servers, sync.OnceValue(func() bool { return h.finishing(b) }))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count open requests: %w", err)
	}
	return open, nil
}

// locked calls f when it is its turn, with the places read.
func (h *HAProxy) locked(ctx context.Context, f func() error) error {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another call to HAProxy at %s: %w", h.runtime, ctx.Err())
	}
	lock, err := waitForLock(ctx, h.cfg.Table)
	if err != nil {
		return fmt.Errorf("wait for another call about backend %s: %w", h.cfg.Backend, err)
	}
	defer lock.Close()
	if err := h.recall(); err != nil {
		return err
	}
	return f()
}

// settle makes HAProxy be as wanted: it looks, tells the next steps, and looks
// again, until there are none. What is wanted is on disk before HAProxy is told,
// and what HAProxy must know after a reload before settle returns. A call that
// meets a reload is refused or cut off, so each is tried again.
func (h *HAProxy) settle(ctx context.Context) (haproxy.Backend, error) {
	var failure error
	for range rounds {
		b, os, err := h.look(ctx)
		if err == nil && len(os) == 0 {
			if h.unsaved {
				err = h.save(ctx)
				h.unsaved = err != nil
			}
			return b, err
		}
		if err == nil {
			h.unsaved = true
			err = h.tell(ctx, os, byName(b.Servers))
			failure = fmt.Errorf("HAProxy at %s was told and does not do it: %s", h.runtime, strings.Join(h.commands(os), ", "))
		}
		if err != nil {
			failure = err
			if !rest(ctx, lookEvery) {
				break
			}
		}
	}
	return haproxy.Backend{}, failure
}

// rest waits, and reports whether the context still runs.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// look reads the backend, and finds what it is to be told next. What is wanted of
// it is on disk when look returns.
func (h *HAProxy) look(ctx context.Context) (haproxy.Backend, []order, error) {
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	b, err := h.runtime.Backend(within, h.cfg.Backend)
	if err == nil && b.Stopping {
		err = fmt.Errorf("read backend %s: worker %d of HAProxy at %s is about to end", h.cfg.Backend, b.Worker, h.runtime)
	}
	if err != nil {
		return b, nil, errors.Join(err, h.keep())
	}
	if h.worker != 0 && h.worker != b.Worker {
		h.cfg.Log.Info("HAProxy was reloaded or started anew", "was", h.worker, "is", b.Worker)
	}
	h.worker = b.Worker
	h.slots.fit(b.Servers, h.cfg.Now())
	os := h.slots.orders(b.Servers)
	return b, os, h.keep()
}

// tell gives orders, and stops at the first that is refused. That an address was
// taken shows at the next look: the answer to it is a text for people.
func (h *HAProxy) tell(ctx context.Context, os []order, by map[string]haproxy.Server) error {
	for i, command := range h.commands(os) {
		if os[i].words == "state ready" && by[os[i].server].Checked {
			if err := h.runtime.Do(ctx, "enable health "+h.cfg.Backend+"/"+os[i].server); err != nil {
				return err
			}
		}
		text, err := h.runtime.Ask(ctx, command)
		if err == nil {
			err = haproxy.Refusal(text)
		}
		if err != nil {
			return fmt.Errorf("tell HAProxy at %s to %s: %w", h.runtime, command, err)
		}
		h.cfg.Log.Info("slot changed", "slot", os[i].server, "order", os[i].words)
	}
	return nil
}

func (h *HAProxy) commands(os []order) []string {
	var cs []string
	for _, o := range os {
		cs = append(cs, "set server "+h.cfg.Backend+"/"+o.server+" "+o.words)
	}
	return cs
}

// awaitUp waits until HAProxy sends requests to those members that are wanted in
// rotation and have a slot.
func (h *HAProxy) awaitUp(ctx context.Context, ms []rules.Member) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var down error // as seen last
	for {
		err := h.locked(ctx, func() error {
			b, err := h.settle(ctx)
			if err == nil {
				down = h.slots.down(ms, b.Servers)
			}
			return err
		})
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && down == nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(down, ctx.Err())
		case <-tick.C:
		}
	}
}

// down says of each member that is in rotation and yet gets no requests, why.
func (t *slots) down(ms []rules.Member, servers []haproxy.Server) error {
	by := byName(servers)
	var errs []error
	for _, p := range t.Places {
		s := by[p.Slot]
		asked := slices.ContainsFunc(ms, func(m rules.Member) bool { return m.ID == p.ID })
		if asked && p.In && p.Slot != "" && !s.Up() {
			errs = append(errs, fmt.Errorf("HAProxy sends nothing to %s in %s/%s: it is %s, and its check says %q", p.Name, t.Backend, p.Slot, s.Status, s.Check))
		}
	}
	return errors.Join(errs...)
}
