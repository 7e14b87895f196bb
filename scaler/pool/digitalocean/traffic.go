package digitalocean

import (
	"context"
	"fmt"
	"strconv"

	"flyball/rules"
	"flyball/scaler"
)

var _ scaler.Traffic = (*Traffic)(nil)

// Traffic steers a load balancer of DigitalOcean by the tag that it chooses its
// Droplets by. It cannot count requests, so a member that is withdrawn is given all
// of its time to drain. It is safe for concurrent use.
type Traffic struct {
	fleet *fleet
	tag   string
}

// NewTraffic returns the traffic of a pool of Droplets that has a traffic tag; nil for
// one that has none.
func NewTraffic(p *Pool) *Traffic {
	if p.cfg.Droplets == nil || p.cfg.Droplets.TrafficTag == "" {
		return nil
	}
	return &Traffic{p.account.fleet, p.cfg.Droplets.TrafficTag}
}

// Admit gives members the tag; who has it is not asked about.
func (t *Traffic) Admit(ctx context.Context, ms []rules.Member) error { return t.set(ctx, ms, true) }

// Withdraw takes the tag from members; who does not have it is not asked about.
func (t *Traffic) Withdraw(ctx context.Context, ms []rules.Member) error {
	return t.set(ctx, ms, false)
}

func (t *Traffic) set(ctx context.Context, ms []rules.Member, on bool) error {
	bearers, err := t.bearers(ctx)
	if err != nil {
		return err
	}
	var ids []int
	for _, m := range ms {
		id, err := strconv.Atoi(string(m.ID))
		if is, listed := bearers[id]; err == nil && is != on && (listed || on) {
			ids = append(ids, id)
		}
	}
	return t.fleet.tag(ctx, t.tag, on, ids...)
}

// bearers are all Droplets, with whether they have the tag.
func (t *Traffic) bearers(ctx context.Context) (map[int]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, at := t.fleet.latest()
	if at.IsZero() {
		var err error
		if all, _, err = t.fleet.droplets(ctx, false); err != nil {
			return nil, fmt.Errorf("ask who has the tag %s: %w", t.tag, err)
		}
	}
	out := map[int]bool{}
	for _, d := range all {
		out[d.ID] = bears(d, t.tag)
	}
	return out, nil
}

// Open names who has the tag, each with [Uncounted] requests.
func (t *Traffic) Open(ctx context.Context) (map[rules.MemberID]int, error) {
	bearers, err := t.bearers(ctx)
	if err != nil {
		return nil, err
	}
	open := map[rules.MemberID]int{}
	for id, is := range bearers {
		if is {
			open[rules.MemberID(strconv.Itoa(id))] = Uncounted
		}
	}
	return open, nil
}

// Uncounted stands for the open requests of a member that is in rotation at a balancer
// that does not count them: not none, and not absent, which would mean that it is out.
const Uncounted = -1
