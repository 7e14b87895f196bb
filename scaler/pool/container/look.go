package container

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"flyball/rules"
)

// Look lists the members, by one call to the engine, and one more for each that
// died since the last look. Members that were asked to end and have ended, and
// containers that a crash kept from being started, are removed on this occasion,
// unless a step is under way.
func (p *Pool) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	terms := rules.Terms{Names: true, Victims: true, Most: p.cfg.Most}
	if err := ctx.Err(); err != nil {
		return nil, terms, err
	}
	free := p.takeIfFree()
	if free {
		defer p.give()
	}
	cs, err := p.list(ctx)
	if err != nil {
		return nil, terms, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	ms, err := p.settle(ctx, cs, free)
	if err != nil {
		return nil, terms, fmt.Errorf("look at pool %s: %w", p.name, err)
	}
	return ms, terms, nil
}

// settle brings what is noted and what the engine lists together. free: no step is
// under way, so what looks unfinished was cut off.
func (p *Pool) settle(ctx context.Context, cs []container.Summary, free bool) ([]rules.Member, error) {
	if free {
		notes, err := p.readNotes()
		if err != nil {
			return nil, err
		}
		cs = p.tidy(ctx, cs, notes)
	}
	notes, err := p.remember(cs, free)
	if err != nil {
		return nil, err
	}
	ends, err := p.endsOf(ctx, cs, notes)
	if err != nil {
		return nil, err
	}
	var ms []rules.Member
	for _, c := range cs {
		e, ended := ends[c.ID]
		if ended && e == nil {
			continue // is gone since it was listed
		}
		ms = append(ms, p.member(c, notes[c.ID], e))
	}
	slices.SortFunc(ms, func(a, b rules.Member) int { return strings.Compare(a.Name, b.Name) })
	return ms, nil
}

// list returns the containers that are members.
func (p *Pool) list(ctx context.Context) ([]container.Summary, error) {
	owner, err := p.mark()
	if err != nil {
		return nil, err
	}
	res, err := p.engine.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", labelPool+"="+p.name),
	})
	if err != nil {
		return nil, explain("list containers", err)
	}
	var ours, others []container.Summary
	for _, c := range res.Items {
		if isOurs(c.Labels, c.Names, p.name, owner) {
			ours = append(ours, c)
		} else {
			others = append(others, c)
		}
	}
	p.warn(others)
	return ours, nil
}

// hasEnded reports whether a container's program runs no more. Podman says
// stopped for a moment before it says exited.
func hasEnded(s container.ContainerState) bool {
	return s == container.StateExited || s == container.StateDead || s == "stopped"
}

// neverRan reports whether a container was made and not started.
func neverRan(s container.ContainerState) bool {
	return s == container.StateCreated || s == "initialized"
}

// tidyTime bounds what a look spends on tidying up, so that members that go do not
// keep it from telling of those that stay.
const tidyTime = 2 * time.Second

// tidy removes what is left of starts that were cut off and of members that are
// gone as asked, and returns the rest. It has the turn: no start is under way. What
// cannot be removed in time stays, and is tried again by the next look.
func (p *Pool) tidy(ctx context.Context, cs []container.Summary, notes map[string]note) []container.Summary {
	var over []container.Summary
	for _, c := range cs {
		if neverRan(c.State) || hasEnded(c.State) && !notes[c.ID].Asked.IsZero() {
			over = append(over, c)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	gone := make([]bool, len(over))
	_ = each(len(over), func(i int) error {
		gone[i] = p.bury(ctx, over[i])
		return nil
	})
	return slices.DeleteFunc(cs, func(c container.Summary) bool {
		i := slices.IndexFunc(over, func(o container.Summary) bool { return o.ID == c.ID })
		return i >= 0 && gone[i]
	})
}

// bury removes a container whose time is over, and reports whether it is gone.
func (p *Pool) bury(ctx context.Context, c container.Summary) bool {
	log := p.log.With("member", c.Labels[labelMember], "container", short(c.ID))
	if err := p.discard(ctx, c.ID); err != nil {
		log.Warn("container cannot be removed yet", "err", err)
		return false
	}
	if neverRan(c.State) {
		log.Info("start that was cut off is undone")
	} else {
		log.Info("member is gone")
	}
	return true
}

// remember notes addresses, and, if all members were listed while no step was
// under way, forgets those that are no more. It returns the notes.
func (p *Pool) remember(cs []container.Summary, whole bool) (map[string]note, error) {
	ids := map[string]bool{}
	for _, c := range cs {
		ids[c.ID] = true
	}
	var known map[string]note
	err := p.amend(func(notes map[string]note) bool {
		before := len(notes)
		if whole {
			maps.DeleteFunc(notes, func(id string, _ note) bool { return !ids[id] })
		}
		changed := len(notes) != before
		for _, c := range cs {
			n := notes[c.ID]
			if addr := p.address(c); addr != "" && addr != n.Addr {
				n.Addr = addr
				notes[c.ID], changed = n, true
			}
		}
		known = notes
		return changed
	})
	return known, err
}

// address is where a member's service is, as its container says: a port of this
// machine, or the container's own in its network; "" while it has none.
func (p *Pool) address(c container.Summary) string {
	port, err := strconv.ParseUint(c.Labels[labelPort], 10, 16)
	if err != nil {
		return ""
	}
	for _, x := range c.Ports {
		if x.PublicPort != 0 && uint64(x.PrivatePort) == port && x.Type == "tcp" {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(x.PublicPort)))
		}
	}
	if c.NetworkSettings == nil || hasEnded(c.State) {
		return ""
	}
	networks := c.NetworkSettings.Networks
	for _, name := range append([]string{p.cfg.Network}, slices.Sorted(maps.Keys(networks))...) {
		n := networks[name]
		if n == nil {
			continue
		}
		for _, ip := range []netip.Addr{n.IPAddress, n.GlobalIPv6Address} {
			if ip.IsValid() {
				return net.JoinHostPort(ip.String(), strconv.FormatUint(port, 10))
			}
		}
	}
	return ""
}

// member is one container as a member; e is how it ended by itself, nil if it did
// not. Whether it is ready is its own word.
func (p *Pool) member(c container.Summary, n note, e *end) rules.Member {
	born := time.Unix(c.Created, 0)
	m := rules.Member{
		ID: rules.MemberID(c.ID), Name: c.Labels[labelMember], Addr: n.Addr,
		State: rules.Booting, Since: born, Born: born, Note: "container " + short(c.ID),
	}
	switch {
	case !n.Asked.IsZero():
		m.State, m.Since = rules.Leaving, n.Asked
	case e != nil:
		m.State, m.Since, m.Note = rules.Dead, e.at, e.status
	case c.State == container.StateRemoving:
		m.State, m.Since, m.Note = rules.Leaving, p.now(), m.Note+", being removed by somebody else"
	case c.State != container.StateRunning:
		m.Note += ", " + string(c.State)
	case m.Addr == "":
		m.Note += ", without an address in its network"
	}
	return m
}

// short is a container's ID as engines show it.
func short(id string) string { return id[:min(12, len(id))] }
