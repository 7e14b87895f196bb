package scaler

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
	"flyball/scaler/journal"
)

// An orderBody is what an operator's request says. For is a Prometheus duration;
// without it the order holds until it is taken back.
type orderBody struct {
	Size   int            `json:"size"`
	For    model.Duration `json:"for"`
	Reason string         `json:"reason"`
}

// Handler serves the operators' acts, all POST, relative to /api/flyball/v1. who
// names the operator of a request. Whether a request may act at all is the
// caller's matter.
func (s *Scaler) Handler(who func(*http.Request) string) http.Handler {
	mux := http.NewServeMux()
	act := func(path string, f func(pool string, o rules.Order, now time.Time) error) {
		mux.HandleFunc("POST /api/flyball/v1/"+path, func(w http.ResponseWriter, r *http.Request) {
			s.order(w, r, who(r), f)
		})
	}
	act("pools/{pool}/set", s.set)
	act("pools/{pool}/pause", s.pause)
	act("pools/{pool}/resume", s.resume)
	act("pools/{pool}/roll", s.roll)
	act("pools/{pool}/roll/stop", s.stopRoll)
	act("stop-all", func(_ string, o rules.Order, now time.Time) error {
		return s.journal.SetOrder(journal.All, journal.PauseOrder, &o, now)
	})
	act("resume-all", func(_ string, o rules.Order, now time.Time) error {
		o.Until = now // an order that is over takes the standing one back
		return s.journal.SetOrder(journal.All, journal.PauseOrder, &o, now)
	})
	return mux
}

// order reads an operator's request and obeys it.
func (s *Scaler) order(w http.ResponseWriter, r *http.Request, by string, f func(string, rules.Order, time.Time) error) {
	var b orderBody
	if r.ContentLength != 0 {
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
		d.DisallowUnknownFields()
		if err := d.Decode(&b); err != nil {
			journal.Tell(w, http.StatusBadRequest, fmt.Sprintf("read the order: %v", err))
			return
		}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	o := rules.Order{By: by, Why: b.Reason, Size: b.Size, At: now}
	if b.For > 0 {
		o.Until = now.Add(time.Duration(b.For))
	}
	if err := f(r.PathValue("pool"), o, now); err != nil {
		status := http.StatusServiceUnavailable
		if e, ok := err.(refusal); ok {
			status = e.status
		}
		journal.Tell(w, status, err.Error())
		return
	}
	told := []any{"path", r.URL.Path, "by", by, "reason", b.Reason}
	if !o.Until.IsZero() {
		told = append(told, "until", o.Until)
	}
	s.log.Info("order taken", told...)
	s.wakeAll()
	answer(w, o)
}

// A refusal is an order that cannot be obeyed.
type refusal struct {
	status int
	text   string
}

func (r refusal) Error() string { return r.text }

// set raises a pool's floor.
func (s *Scaler) set(pool string, o rules.Order, now time.Time) error {
	l, err := s.find(pool)
	if err != nil {
		return err
	}
	if l.rule == nil {
		return refusal{http.StatusConflict, fmt.Sprintf("pool %s has no scale rule: write one, then its size can be set", pool)}
	}
	if o.Size < 1 || o.Size > l.rule.Max {
		return refusal{http.StatusUnprocessableEntity, fmt.Sprintf("size %d is outside 1 to %d: the ceiling is max in %s", o.Size, l.rule.Max, l.rule.Rule)}
	}
	return s.journal.SetOrder(l.target(), journal.FloorOrder, &o, now)
}

// pause stops acting on a pool.
func (s *Scaler) pause(pool string, o rules.Order, now time.Time) error {
	l, err := s.find(pool)
	if err != nil {
		return err
	}
	return s.journal.SetOrder(l.target(), journal.PauseOrder, &o, now)
}

// resume takes back what was ordered of a pool: its pause and its floor.
func (s *Scaler) resume(pool string, o rules.Order, now time.Time) error {
	l, err := s.find(pool)
	if err != nil {
		return err
	}
	os, err := s.journal.Orders()
	if err != nil {
		return err
	}
	o.Until = now
	stands := os[l.target()]
	if stands.Pause == nil && stands.Floor == nil {
		return refusal{http.StatusConflict, fmt.Sprintf("pool %s has no order to take back", pool)}
	}
	if stands.Pause != nil {
		if err := s.journal.SetOrder(l.target(), journal.PauseOrder, &o, now); err != nil {
			return err
		}
	}
	if stands.Floor != nil {
		return s.journal.SetOrder(l.target(), journal.FloorOrder, &o, now)
	}
	return nil
}

// roll has all members replaced that were made by another template than the
// present one.
func (s *Scaler) roll(pool string, o rules.Order, now time.Time) error {
	l, err := s.find(pool)
	if err != nil {
		return err
	}
	os, err := s.journal.Orders()
	if err != nil {
		return err
	}
	if os[l.target()].Roll.In(now) {
		return refusal{http.StatusConflict, fmt.Sprintf("pool %s is being rolled already: stop that first, or wait", pool)}
	}
	if why := l.whyNoRoll(); why != "" {
		return refusal{http.StatusConflict, fmt.Sprintf("pool %s cannot be rolled: %s", pool, why)}
	}
	return s.journal.SetOrder(l.target(), journal.RollOrder, &o, now)
}

// whyNoRoll is why a roll of the pool could not even begin.
func (l *loop) whyNoRoll() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.status.Terms
	outdated := func(m rules.Member) bool { return m.Version != t.Version && !m.Kept }
	switch {
	case l.rule == nil:
		return "it has no scale rule: write one, then its members can be replaced"
	case l.rule.Mode != rules.Act:
		return "its rule only watches: write `mode: act` into " + l.rule.Rule
	case t == nil:
		return "it has not been looked at yet: try again in a moment"
	case t.Version == "":
		return "its provider does not tell by which template members are made"
	case !t.Victims:
		return "its provider does not take the members to remove"
	case !slices.ContainsFunc(l.status.Members, outdated):
		return fmt.Sprintf("all its %d members are of the present version %s", len(l.status.Members), t.Version)
	}
	return ""
}

// stopRoll ends a roll. Who was replaced stays so.
func (s *Scaler) stopRoll(pool string, o rules.Order, now time.Time) error {
	l, err := s.find(pool)
	if err != nil {
		return err
	}
	os, err := s.journal.Orders()
	if err != nil {
		return err
	}
	if !os[l.target()].Roll.In(now) {
		return refusal{http.StatusConflict, fmt.Sprintf("pool %s is not being rolled", pool)}
	}
	o.Until = now
	return s.journal.SetOrder(l.target(), journal.RollOrder, &o, now)
}

// find returns the loop of a pool.
func (s *Scaler) find(pool string) (*loop, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.loops[pool]; ok {
		return l, nil
	}
	return nil, refusal{http.StatusNotFound, fmt.Sprintf("there is no pool %q", pool)}
}

// wakeAll lets every pool be judged soon.
func (s *Scaler) wakeAll() {
	for _, l := range s.current() {
		l.rouse()
	}
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
