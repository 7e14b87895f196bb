package exec

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"flyball/rules"
)

// After a step the list is read more often for a while.
const (
	busyFor   = 5 * time.Minute
	busyEvery = 5 * time.Second
)

// Look implements [scaler.Pool]. At rest the list is as old as the configuration
// allows, and younger while a step was done of late; after a step it is new.
func (p *Pool) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	l, err := p.look(ctx)
	if err != nil {
		return nil, rules.Terms{}, err
	}
	return slices.Clone(l.members), l.terms, nil
}

func (p *Pool) look(ctx context.Context) (*listing, error) {
	if err := take(ctx, p.looking); err != nil {
		return nil, err
	}
	defer func() { <-p.looking }()
	l, steps := p.recent()
	if l != nil {
		return l, nil
	}
	if err := p.leftAlone(); err != nil {
		return nil, fmt.Errorf("list the members of pool %s: %w", p.name, err)
	}
	a, err := p.run(ctx, question{Verb: verbLook, Pool: p.name})
	if err == nil {
		err = a.failure(p.cfg.Command[0], verbLook)
	}
	if err == nil {
		if l, err = a.listing(); err != nil {
			err = fmt.Errorf("run %s %s: %w", p.cfg.Command[0], verbLook, err)
		}
	}
	p.listed(err)
	if err != nil {
		return nil, fmt.Errorf("list the members of pool %s: %w", p.name, err)
	}
	p.keep(l, steps)
	return l, nil
}

// recent is the last list, if it is young enough, or the program is left alone since,
// and how many steps there were.
func (p *Pool) recent() (*listing, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, every := p.now(), p.cfg.Every
	if now.Sub(p.acted) < busyFor {
		every = min(every, busyEvery)
	}
	if l := p.list; l != nil && !now.Before(l.at) && (now.Sub(l.at) < every || now.Before(p.patience.until)) {
		return l, p.steps
	}
	return nil, p.steps
}

// keep remembers a list unless there was a step since it was asked for. Whoever was
// asked to end is leaving, whatever the program's cloud says, until it is gone.
func (p *Pool) keep(l *listing, steps int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.at = p.now()
	listed := map[rules.MemberID]bool{}
	for i, m := range l.members {
		listed[m.ID] = true
		if since := p.asked[m.ID]; !since.IsZero() {
			l.members[i].State, l.members[i].Since = rules.Leaving, since
		}
	}
	if p.steps != steps {
		return
	}
	for id := range p.asked {
		if !listed[id] {
			delete(p.asked, id)
		}
	}
	p.list = l
}

// listing checks what the program listed, and puts it in order.
func (a answer) listing() (*listing, error) {
	if a.Terms == nil {
		return nil, fmt.Errorf("the answer has no terms: write {\"terms\": {\"names\": true, \"victims\": true}, \"members\": [...]}")
	}
	terms, err := a.Terms.terms()
	if err != nil {
		return nil, err
	}
	l := &listing{terms: terms}
	ids, names := map[rules.MemberID]bool{}, map[string]bool{}
	for i, m := range a.Members {
		x, err := m.member()
		switch {
		case err != nil:
			return nil, fmt.Errorf("members[%d]: %w", i, err)
		case ids[x.ID]:
			return nil, fmt.Errorf("members[%d]: id %q is another's, too", i, x.ID)
		case names[x.Name]:
			return nil, fmt.Errorf("members[%d]: name %q is another's, too", i, x.Name)
		}
		ids[x.ID], names[x.Name] = true, true
		l.members = append(l.members, x)
	}
	slices.SortFunc(l.members, func(x, y rules.Member) int { return strings.Compare(x.Name, y.Name) })
	return l, nil
}
