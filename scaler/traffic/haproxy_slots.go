package traffic

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"flyball/collector/haproxy"
	"flyball/rules"
)

// A place is what is wanted for one member: a slot of the backend that has its
// address, in rotation or out of it.
type place struct {
	ID    rules.MemberID `json:"id"`
	Name  string         `json:"name"`
	Addr  netip.AddrPort `json:"addr"`            // zero: it has none, so nothing can be sent to it
	Slot  string         `json:"slot,omitempty"`  // name of the server; "": it has none
	In    bool           `json:"in"`              // in rotation
	Since time.Time      `json:"since"`           // of that
	Fresh bool           `json:"fresh,omitempty"` // the slot had another member at this very address, and must let go of its connections first

	sealed bool      // out, and with no request open: it shall get none by a cookie either
	lost   time.Time // since when its address refuses connections; zero while it does not
}

// formerTime is how long the address of a member that is gone is remembered: a
// reload that was begun before may bring it back.
const formerTime = time.Hour

// slots says which member has which slot of one backend. It is all that must not
// be forgotten when Flyball is started anew; HAProxy is made to be like it.
type slots struct {
	Socket  string                       `json:"socket"`
	Backend string                       `json:"backend"`
	Places  []place                      `json:"places"`
	Former  map[netip.AddrPort]time.Time `json:"former,omitempty"` // addresses of members that are gone, since when; a slot that has one is made vacant

	dirty bool // differs from what is on disk
}

// vacantAddr is the address of a slot that nobody has. Nothing listens there, so
// that even a slot that is opened by mistake does no harm.
func vacantAddr() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:1") }

// vacant reports whether a server is a slot that nobody has: it was written with
// a name, and stands where nobody does.
func vacant(s haproxy.Server) bool { return s.Host != "" && nobodys(s.Addr) }

// nobodys reports whether an address is that of a vacant slot: port 1 of the loopback.
func nobodys(a netip.AddrPort) bool {
	return a.Addr().IsLoopback() && a.Port() == vacantAddr().Port()
}

func idle(s haproxy.Server) bool { return s.Sessions+s.Queued == 0 }

// addressOf is where a member takes requests; it is not valid if HAProxy cannot be
// told so.
func addressOf(m rules.Member) netip.AddrPort {
	a, err := netip.ParseAddrPort(m.Addr)
	if err != nil || a.Port() == 0 || nobodys(a) {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// admit wants a member in rotation.
func (t *slots) admit(m rules.Member, now time.Time) error {
	addr := addressOf(m)
	if !addr.IsValid() {
		return fmt.Errorf("member %s: %q is no IP address with a port, and HAProxy takes no other at run time", m.Name, m.Addr)
	}
	for i := len(t.Places) - 1; i >= 0; i-- {
		if o := t.Places[i]; o.ID == m.ID && o.Addr != addr {
			t.vacate(i, now) // it has moved
		}
	}
	_, former := t.Former[addr]
	p := place{ID: m.ID, Name: m.Name, Addr: addr, In: true, Since: now, Fresh: former}
	if i := slices.IndexFunc(t.Places, func(o place) bool { return o.Addr == addr }); i >= 0 {
		if t.Places[i].ID == m.ID {
			t.turn(i, true, now)
			return nil
		}
		p.Slot, p.Fresh = t.Places[i].Slot, true // an address is one member's
		t.remove(i)
	}
	t.add(p)
	return nil
}

// withdraw wants a member out of rotation. One that was never in gets a place all
// the same: so its open requests are known to be none.
func (t *slots) withdraw(m rules.Member, now time.Time) {
	addr := addressOf(m) // one without can be sent nothing
	known := false
	for i, p := range t.Places {
		if p.ID == m.ID {
			t.turn(i, false, now)
		}
		known = known || p.ID == m.ID || addr.IsValid() && p.Addr == addr
	}
	if !known {
		t.add(place{ID: m.ID, Name: m.Name, Addr: addr, Since: now})
	}
}

func (t *slots) add(p place) {
	delete(t.Former, p.Addr)
	t.Places, t.dirty = append(t.Places, p), true
}

func (t *slots) remove(i int) { t.Places, t.dirty = slices.Delete(t.Places, i, i+1), true }

func (t *slots) turn(i int, in bool, now time.Time) {
	if p := &t.Places[i]; p.In != in {
		p.In, p.Since, p.sealed, p.lost = in, now, false, time.Time{}
		t.dirty = true
	}
}

// vacate forgets a place; its slot is free once nothing is open to it.
func (t *slots) vacate(i int, now time.Time) {
	if addr := t.Places[i].Addr; addr.IsValid() {
		if t.Former == nil {
			t.Former = map[netip.AddrPort]time.Time{}
		}
		t.Former[addr] = now
	}
	t.remove(i)
}

// leaves reports whether a server is the slot of a member that is gone.
func (t *slots) leaves(s haproxy.Server) bool {
	_, former := t.Former[s.Addr]
	return former && s.Host != "" && !nobodys(s.Addr)
}

// forget forgets former addresses after a while, unless a slot has one still.
func (t *slots) forget(servers []haproxy.Server, now time.Time) {
	for addr, since := range t.Former {
		has := slices.ContainsFunc(servers, func(s haproxy.Server) bool { return s.Addr == addr })
		if !has && now.Sub(since) >= formerTime {
			delete(t.Former, addr)
			t.dirty = true
		}
	}
}

// holds reports whether a server may be the slot of a place: it has the address,
// or HAProxy forgot it.
func (p place) holds(s haproxy.Server) bool { return s.Addr == p.Addr || p.In && vacant(s) }

// fit gives slots to places, by what HAProxy has now. A server that has the
// address of a member is that member's, whoever gave it the address; one that has
// an address that is nobody's here is not touched.
func (t *slots) fit(servers []haproxy.Server, now time.Time) {
	by := byName(servers)
	taken := map[string]bool{}
	for i := range t.Places {
		p := &t.Places[i]
		if s, ok := by[p.Slot]; p.Slot != "" && (!ok || !p.holds(s)) {
			p.Slot, t.dirty = "", true
		}
		taken[p.Slot] = true
	}
	t.find(servers, taken)
	t.place(servers, taken, now)
}

// find gives places without a slot the server that has their address.
func (t *slots) find(servers []haproxy.Server, taken map[string]bool) {
	for i := range t.Places {
		p := &t.Places[i]
		if p.Slot != "" || !p.Addr.IsValid() {
			continue
		}
		for _, s := range servers {
			if s.Addr == p.Addr && !taken[s.Name] {
				p.Slot, taken[s.Name], t.dirty = s.Name, true, true
				break
			}
		}
	}
}

// place gives vacant slots to those who are wanted in rotation and have none. If
// there are too few, members that are out and have nothing open lose theirs.
func (t *slots) place(servers []haproxy.Server, taken map[string]bool, now time.Time) {
	free := slices.DeleteFunc(slices.Clone(servers), func(s haproxy.Server) bool { return !vacant(s) || taken[s.Name] })
	short := 0
	for _, s := range servers {
		if t.leaves(s) && idle(s) && !taken[s.Name] {
			short-- // vacant in a moment
		}
	}
	for i := range t.Places {
		p := &t.Places[i]
		if !p.In || p.Slot != "" {
			continue
		}
		if len(free) == 0 {
			short++
			continue
		}
		p.Slot, p.Fresh, t.dirty = free[0].Name, false, true
		free = free[1:]
	}
	for range max(short, 0) {
		t.evict(servers, now)
	}
}

// evict takes the slot of whoever is out for longest and has nothing open.
func (t *slots) evict(servers []haproxy.Server, now time.Time) {
	by, victim := byName(servers), -1
	for i, p := range t.Places {
		if p.In || p.Slot == "" || !idle(by[p.Slot]) {
			continue
		}
		if victim < 0 || p.Since.Before(t.Places[victim].Since) {
			victim = i
		}
	}
	if victim >= 0 {
		t.vacate(victim, now)
	}
}

// An order is what a server is told next.
type order struct {
	server string
	words  string // e.g. state drain; what follows `set server backend/server`
}

// orders are the next steps by which servers come to be as wanted, none of which
// needs another one to be seen done first. None means that all is as wanted.
func (t *slots) orders(servers []haproxy.Server) []order {
	by, taken := byName(servers), map[string]bool{}
	var os []order
	for i := range t.Places {
		p := &t.Places[i]
		taken[p.Slot] = true
		if words := t.next(p, by[p.Slot]); p.Slot != "" && words != "" {
			os = append(os, order{p.Slot, words})
		}
	}
	for _, s := range servers {
		leaving := t.leaves(s)
		switch {
		case taken[s.Name] || !leaving && !vacant(s):
		case !s.Maint():
			os = append(os, order{s.Name, "state maint"})
		case leaving && idle(s):
			os = append(os, order{s.Name, address(vacantAddr())})
		}
	}
	return os
}

// next is the next step for a place; "" for none. A slot gets its address in
// maintenance only, and comes out of it when the address was seen to be right.
func (t *slots) next(p *place, s haproxy.Server) string {
	switch {
	case p.In && (p.Fresh || s.Addr != p.Addr):
		if !s.Maint() {
			return "state maint"
		}
		if p.Fresh {
			p.Fresh, t.dirty = false, true
		}
		if s.Addr != p.Addr {
			return address(p.Addr)
		}
		return "state ready"
	case p.In && (s.Maint() || s.Drain()):
		return "state ready"
	case p.In, s.Maint(), s.Addr != p.Addr:
		return ""
	case p.sealed:
		return "state maint"
	case !s.Drain():
		return "state drain"
	}
	return ""
}

func address(a netip.AddrPort) string { return fmt.Sprintf("addr %s port %d", a.Addr(), a.Port()) }

// seal closes those out of rotation that have nothing open to what cookies and
// stick tables send them. It reports whether that is new to any.
func (t *slots) seal(servers []haproxy.Server) bool {
	by, sealed := byName(servers), false
	for i := range t.Places {
		p := &t.Places[i]
		if s := by[p.Slot]; p.Slot != "" && !p.In && !p.sealed && idle(s) {
			p.sealed = true
			sealed = sealed || !s.Maint()
		}
	}
	return sealed
}

// open counts requests by member, as far as they are known: those of members in
// rotation, and, unless an earlier process of HAProxy still finishes requests of
// its own, those of members out of it.
func (t *slots) open(servers []haproxy.Server, finishing func() bool) map[rules.MemberID]int {
	by, open := byName(servers), map[rules.MemberID]int{}
	for _, p := range t.Places {
		s, n := by[p.Slot], 0
		if p.Slot != "" {
			n = s.Sessions + s.Queued
		}
		closed := p.Slot == "" || s.Maint()
		if p.In && p.Slot != "" || !p.In && (n > 0 || closed && !finishing()) {
			open[p.ID] = n
		}
	}
	return open
}

// full says which members are wanted in rotation and have no slot, why, and what
// to do; nil if all have one.
func (t *slots) full(servers []haproxy.Server) error {
	var names []string
	have, leave, written := 0, 0, 0
	for _, p := range t.Places {
		switch {
		case p.Slot != "":
			have++
		case p.In:
			names = append(names, p.Name)
		}
	}
	for _, s := range servers {
		switch {
		case s.Host == "":
			written++
		case t.leaves(s):
			leave++
		}
	}
	who := fmt.Sprintf("backend %s has no slot for %s", t.Backend, strings.Join(names, ", "))
	switch {
	case len(names) == 0:
		return nil
	case have+leave > 0:
		return fmt.Errorf("%s: of its %d servers %d have a member, %d finish requests of members that are gone, and no other is vacant; raise the number in its server-template line",
			who, len(servers), have, leave)
	case written > 0:
		return fmt.Errorf("%s: its servers are written with an address, to which HAProxy goes back at every reload; write `server-template web 1-20 localhost:1 check disabled`, with the name localhost", who)
	}
	return fmt.Errorf("%s: write `server-template web 1-20 localhost:1 check disabled` into it", who)
}

func byName(servers []haproxy.Server) map[string]haproxy.Server {
	by := make(map[string]haproxy.Server, len(servers))
	for _, s := range servers {
		by[s.Name] = s
	}
	return by
}
