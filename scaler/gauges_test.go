package scaler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/rules"
	"flyball/scaler/journal"
)

// shown is what the gauges of a scaler show, but for the time of the judgements:
// "members web ready" to 2.
func shown(t *testing.T, s *Scaler) map[string]float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(newGauges(s))
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			key := strings.TrimPrefix(f.GetName(), "flyball_pool_")
			for _, name := range []string{"pool", "mode", "state", "signal", "reason"} {
				if v := labels[name]; v != "" {
					key += " " + v
				}
			}
			out[key] = m.GetGauge().GetValue()
		}
	}
	return out
}

// expect compares what is shown with lines such as "size web 2"; a line with a
// dash must not be shown.
func expect(t *testing.T, s *Scaler, lines ...string) {
	t.Helper()
	got := shown(t, s)
	for _, line := range lines {
		i := strings.LastIndexByte(line, ' ')
		v, ok := got[line[:i]]
		if is := fmt.Sprint(v); ok != (line[i+1:] != "-") || ok && is != line[i+1:] {
			t.Errorf("want %s, got %s (%v) of %v", line, is, ok, slices.Sorted(maps.Keys(got)))
		}
	}
}

func TestTheGaugesShowThePoolAsItWasJudgedLast(t *testing.T) {
	w, r := newWorld(1), shareRule()
	s := w.life(r).s
	l := s.loops["web"]
	expect(t, s, "mode web act 1", "min web 2", "max web 8", "members web ready -", "size web -", "drifting web -")
	judge := func(n int) {
		for range n {
			_ = l.turn(t.Context(), w.now) // failing is what some ask for
			w.pass(2 * time.Second)
		}
	}
	w.load = 20
	judge(60)
	expect(t, s, "members web ready 2", "members web dead 0", "size web 2", "wanted web 2", "drifting web 0", "unmet web at_max -")
	if at := shown(t, s)["judged_timestamp_seconds web"]; at != float64(l.status.Judged.Unix()) {
		t.Errorf("judged at %v, want %v", at, l.status.Judged)
	}
	w.load = 14 * 12
	judge(100)
	expect(t, s, "size web 8", "unmet web at_max 4")
	w.silent = 1
	judge(3)
	expect(t, s, "signal_missing web requests missing_data 1", "unmet web at_max -")
	w.silent = 0
	s.Apply(nil, nil)
	if got := shown(t, s); len(got) != 0 {
		t.Errorf("a pool that is no more shows %v", got)
	}
}

func TestGrowthThatThePoolDoesNotGetShowsWhy(t *testing.T) {
	w, r := newWorld(1), shareRule()
	w.load, w.sold = 14*5, 1
	l := w.life(r)
	for range 60 {
		l = w.turn(t, l, r)
		w.pass(2 * time.Second)
	}
	got := shown(t, l.s)
	if n := got["unmet web provider_backoff"]; n != got["wanted web"]-got["size web"] || n < 1 {
		t.Errorf("%v of %v", n, got)
	}
}

func TestWhatBecomesOfDecisionsStandsInOneWord(t *testing.T) {
	w := newWorld(1)
	w.now = time.Now()
	watch, dry := *shareRule(), *shareRule()
	watch.Pool, watch.Mode, dry.Pool = "watch", rules.Observe, "dry"
	s := w.life(shareRule()).s
	s.Apply(map[string]Unit{"web": {Pool: w}, "watch": {Pool: w}, "dry": {Pool: w, DryRun: true}, "bare": {Pool: w}},
		[]rules.Scale{*shareRule(), watch, dry})
	expect(t, s, "mode web act 1", "mode watch observe 1", "mode dry dry_run 1", "mode bare none 1", "min bare -")
	for _, target := range []string{"pool/web", journal.All} {
		if err := w.journal.SetOrder(target, journal.PauseOrder, &rules.Order{By: "ann"}, w.now); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "mode web paused 1", "mode web act -")
	}
	expect(t, s, "mode watch paused 1", "mode dry paused 1", "mode bare none 1")
}

func TestUnmetAreTheMembersThatLimitsAndRefusalsKeepFromAPool(t *testing.T) {
	for name, tt := range map[string]struct {
		d    rules.Decision
		want map[rules.Reason]int
	}{
		"all is well":   {rules.Decision{Size: 3, To: 5, Verdict: rules.ScaleOut}, map[rules.Reason]int{}},
		"a ceiling":     {rules.Decision{Limits: []rules.Applied{{Name: rules.AtMax, From: 9, To: 8}}}, map[rules.Reason]int{rules.AtMax: 1}},
		"a floor":       {rules.Decision{Limits: []rules.Applied{{Name: rules.AtMin, From: 1, To: 2}}}, map[rules.Reason]int{}},
		"no growth":     {rules.Decision{Size: 3, To: 5, Verdict: rules.ScaleOut, Refused: rules.ProviderBackoff}, map[rules.Reason]int{rules.ProviderBackoff: 2}},
		"no shrinking":  {rules.Decision{Size: 5, To: 3, Verdict: rules.ScaleIn, Refused: rules.ProviderBackoff}, map[rules.Reason]int{}},
		"nobody healed": {rules.Decision{Size: 5, To: 5, Verdict: rules.Replace, Victims: []rules.MemberID{"a", "b"}, Refused: rules.ProviderBackoff}, map[rules.Reason]int{rules.ProviderBackoff: 2}},
		"one owed":      {rules.Decision{Size: 5, To: 5, Verdict: rules.Replace, Refused: rules.ProviderBackoff}, map[rules.Reason]int{rules.ProviderBackoff: 1}},
	} {
		if got := unmet(tt.d); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestRollsThatEndByThemselvesAreCounted(t *testing.T) {
	w, r := newWorld(1), shareRule()
	w.version, w.load = "v1", 30
	l := w.life(r)
	judge := func(n int) {
		for range n {
			l = w.turn(t, l, r)
			w.pass(2 * time.Second)
		}
	}
	judge(60)
	ended := func(after string, done, stopped float64) {
		t.Helper()
		for outcome, want := range map[rules.RollState]float64{rules.RollDone: done, rules.RollHalted: stopped} {
			if got := testutil.ToFloat64(l.s.metrics.rolls.WithLabelValues("web", string(outcome))); got != want {
				t.Errorf("after %s %v are %s, want %v", after, got, outcome, want)
			}
		}
	}
	ended("none", 0, 0)
	w.version = "v2"
	w.order(true)
	judge(300)
	ended("one that went well", 1, 0)
	w.version = "v3"
	w.order(true)
	judge(5)
	w.order(false)
	judge(60)
	ended("one that was stopped by an order", 1, 0)
	w.boot = time.Hour
	w.order(true)
	judge(700)
	ended("one whose new members do not boot", 1, 1)
	ended("one without capacity", 1, 1)
}
