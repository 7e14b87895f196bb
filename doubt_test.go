package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	stale "github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"flyball/collector/store"
	"flyball/rules"
	"flyball/rules/source"
)

// A sampled is what a pool of four members has in the store: the value of each
// member's load, and how old its last sample is.
type sampled struct {
	value float64
	age   time.Duration
}

// TestDoubtNeverShrinksAPool judges what the real store answers: a rule file, as
// a user writes it, over samples of four members of whom one would suffice.
func TestDoubtNeverShrinksAPool(t *testing.T) {
	low := sampled{0.05, time.Second}
	gone := sampled{math.Float64frombits(stale.StaleNaN), time.Second} // what a scrape leaves of a target that vanished
	old := sampled{0.05, 2 * time.Minute}                              // still within the look-back of PromQL
	idle := sampled{math.NaN(), time.Second}
	const (
		each = `load{pool="web"}`
		avg  = `avg(load{pool="web"})`
		sum  = `sum(load{pool="web"})`
	)
	for _, c := range []struct {
		name   string
		query  string
		form   string
		loads  []sampled
		want   rules.Verdict
		reason rules.Reason
	}{
		{"all answer, and the load is low", each, "target: 0.6", []sampled{low, low, low, low}, rules.ScaleIn, rules.BySignal},
		{"a target vanishes", each, "target: 0.6", []sampled{low, low, low, gone}, rules.Keep, rules.LowCoverage},
		{"half of the targets vanish", each, "target: 0.6", []sampled{low, low, gone, gone}, rules.Keep, rules.LowCoverage},
		{"half of them under avg", avg, "target: 0.6", []sampled{low, low, gone, gone}, rules.Keep, rules.LowCoverage},
		{"half of them under sum", sum, "per_member: 0.6", []sampled{low, low, gone, gone}, rules.Keep, rules.LowCoverage},
		{"half of them old under avg", avg, "target: 0.6", []sampled{low, low, old, old}, rules.Keep, rules.LowCoverage},
		{"all samples are old", each, "target: 0.6", []sampled{old, old, old, old}, rules.Keep, rules.StaleData},
		{"all samples are old under avg", avg, "target: 0.6", []sampled{old, old, old, old}, rules.Keep, rules.StaleData},
		{"all targets vanish", each, "target: 0.6", []sampled{gone, gone, gone, gone}, rules.Keep, rules.MissingData},
		{"the query answers nothing", `load{pool="web"} > 99`, "target: 0.6", []sampled{low, low, low, low}, rules.Keep, rules.MissingData},
		{"fresh NaN of all is idle", each, "target: 0.6", []sampled{idle, idle, idle, idle}, rules.ScaleIn, rules.Idle},
		{"nothing over nothing is idle", `sum(0 * load{pool="web"}) / sum(0 * load{pool="web"})`, "target: 0.6", []sampled{low, low, low, low}, rules.ScaleIn, rules.Idle},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Now().UTC().Truncate(time.Millisecond)
			rule := loadRule(t, c.query, c.form)
			st := openStore(t)
			var ms []rules.Member
			for i, l := range c.loads {
				name := fmt.Sprintf("web-%d", i+1)
				store1(t, st, name, l.value, now.Add(-l.age))
				ms = append(ms, rules.Member{ID: rules.MemberID(name), Name: name, State: rules.Ready, Since: now.Add(-time.Hour)})
			}
			in := rules.Inputs{Members: ms, Terms: rules.Terms{Names: true, Victims: true}}
			reading, err := st.Query(t.Context(), rule.Signals[0].Query, now)
			answer := rules.Answer{Reading: reading}
			if err != nil {
				answer.Err = err.Error()
			}
			in.Answers = []rules.Answer{answer}
			memory := rules.Memory{Version: rules.MemoryVersion, Judged: now.Add(-time.Second)}
			d, _ := rules.Decide(rule, in, memory, now)
			if d.Verdict != c.want || d.Reason != c.reason {
				t.Errorf("decided %s, %s; want %s, %s\n%s", d.Verdict, d.Reason, c.want, c.reason, d.Explain())
			}
			if text := d.Explain(); !strings.Contains(text, string(c.reason)) {
				t.Errorf("explain does not name %s:\n%s", c.reason, text)
			}
		})
	}
}

// loadRule reads a rule file with one signal.
func loadRule(t *testing.T, query, form string) rules.Scale {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("scale:\n  web:\n    mode: act\n    min: 1\n    max: 9\n    signals:\n      load:\n        query: '%s'\n        %s\n", query, form)
	if err := os.WriteFile(filepath.Join(dir, "web.scale.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	set, problems := source.Load(dir, source.Known{Interval: 5 * time.Second})
	if len(problems) > 0 {
		t.Fatal(source.Problems(problems))
	}
	return set.Scale[0]
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(store.Options{Dir: t.TempDir(), Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// store1 stores a member's sample, and one just before it, so that a marker of
// staleness has something to end.
func store1(t *testing.T, st *store.Store, member string, v float64, at time.Time) {
	t.Helper()
	l := labels.FromStrings("__name__", "load", "pool", "web", "member", member)
	for _, s := range []struct {
		at time.Time
		v  float64
	}{{at.Add(-5 * time.Second), 0.05}, {at, v}} {
		app := st.Appendable().AppenderV2(t.Context())
		if _, err := app.Append(0, l, 0, s.at.UnixMilli(), s.v, nil, nil, storage.AOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
