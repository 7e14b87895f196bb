package demo

import (
	"context"
	"fmt"
	"time"

	"flyball/rules"
)

// play runs the script once.
func (s *show) play(ctx context.Context) error {
	load, lines, err := startLoad(s.o, s.stage)
	if err != nil {
		return err
	}
	s.history.restart(time.Now())
	err = s.watch(ctx, lines)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	stopped := load.stop(stop)
	for p := range lines { // what it still says, its last count included
		s.history.load(p)
	}
	if err != nil || stopped != nil || ctx.Err() != nil {
		return err
	}
	return s.conclude(ctx)
}

// watch follows load and pool to the script's end, and does on the way what the
// script says.
func (s *show) watch(ctx context.Context, lines <-chan progress) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	sc := s.stage.script
	kill, cut, mend := after(sc.kill), after(sc.cut), after(sc.mend)
	for {
		select {
		case <-ctx.Done():
			return nil
		case p, ok := <-lines:
			if !ok {
				return nil
			}
			s.history.load(p)
		case <-kill:
			if err := s.strike(ctx); err != nil {
				return err
			}
		case now := <-cut:
			s.cutOff(now)
		case now := <-mend:
			s.reconnect(now)
		case <-tick.C:
			s.observe(ctx)
		}
		s.view.draw(s.history)
	}
}

// after is a time of the script; what is at 0 never comes.
func after(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

// observe asks the service how the pool is. It may be away for a moment.
func (s *show) observe(ctx context.Context) {
	st, err := s.api.status(ctx)
	if err != nil {
		return
	}
	if es, err := s.api.entries(ctx, s.history.seen); err == nil {
		s.history.entries(es)
	}
	s.history.status(st)
	s.history.rates = s.api.byMember(ctx, `sum by (member) (rate(http_requests_total{pool="web"}[4s]))`)
	s.history.queued = s.api.byMember(ctx, `sum by (member) (http_requests_queued{pool="web"})`)
	s.history.cpu = s.api.byMember(ctx, `1 - avg(rate(node_cpu_seconds_total{mode="idle"}[10s]))`)[""]
}

// strike kills Flyball, starts it again, and counts whom it knows again.
func (s *show) strike(ctx context.Context) error {
	s.observe(ctx)
	before, failed := lives(s.history), s.history.last.Failed
	began := time.Now()
	s.flyball.kill()
	if err := s.start(); err != nil {
		return err
	}
	s.report.Kills++
	err := poll(ctx, 20*time.Millisecond, "Flyball to come back", func() bool {
		st, err := s.api.status(ctx)
		return err == nil && len(st.Members) > 0
	})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	took := time.Since(began)
	s.observe(ctx)
	served, adopted, doubles := known(before, lives(s.history), began)
	s.history.note(began, "kill -9 of flyball: back after %.1fs, %d adopted, %d requests failed",
		took.Seconds(), adopted, s.history.last.Failed-failed)
	if adopted != served || doubles > 0 {
		return fmt.Errorf("%w: of %d members %d were known again after the kill, and %d that were there were not known before", ErrFailed, served, adopted, doubles)
	}
	return nil
}

// lives are the pool's members by ID: who is made anew under a name has another.
func lives(h *history) map[rules.MemberID]rules.Member {
	out := map[rules.MemberID]rules.Member{}
	for _, m := range h.pool.Members {
		out[m.ID] = m
	}
	return out
}

// known counts the members that were ready before a kill, those of them that are there
// after it, and doubles: who was made before it and is known only after it. One that was
// to end may have ended meanwhile, and a pool may have grown.
func known(before, after map[rules.MemberID]rules.Member, killed time.Time) (served, adopted, doubles int) {
	for id, m := range before {
		if m.State != rules.Ready {
			continue
		}
		served++
		if _, is := after[id]; is {
			adopted++
		}
	}
	for id, m := range after {
		if _, was := before[id]; !was && m.Born.Before(killed) {
			doubles++
		}
	}
	return served, adopted, doubles
}
