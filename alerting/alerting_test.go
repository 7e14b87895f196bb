package alerting

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
)

// A rig is rule groups over a real database, in a bubble of simulated time.
type rig struct {
	db     *tsdb.DB
	engine *promql.Engine
	config *promconfig.Config
}

func newRig(t *testing.T) rig {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), promslog.NewNopLogger(), nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := promconfig.Load("global: {evaluation_interval: 15s, external_labels: {site: ams3}}", nil)
	if err != nil {
		t.Fatal(err)
	}
	return rig{db, promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute}), c}
}

func (r rig) close(t *testing.T) {
	t.Helper()
	if err := r.db.Close(); err != nil {
		t.Error(err)
	}
}

// groups makes rule groups, and gives what stops them.
func (r rig) groups(t *testing.T, file string) (*Groups, *prometheus.Registry, func()) {
	t.Helper()
	reg := prometheus.NewRegistry()
	g := New(Options{
		Recorded: r.db, State: r.db, Query: promrules.EngineQueryFunc(r.engine, r.db),
		Registerer: reg, Logger: slog.New(slog.DiscardHandler),
	})
	if err := g.Apply(r.config, []string{file}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return g, reg, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.rules.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (r rig) value(t *testing.T, expr string) (float64, bool) {
	t.Helper()
	v, err := promrules.EngineQueryFunc(r.engine, r.db)(t.Context(), expr, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(v) == 0 {
		return 0, false
	}
	return v[0].F, true
}

const recordAndAlert = `
groups:
- name: g
  rules:
  - {record: load, expr: vector(7), labels: {pool: web}}
  - {alert: Busy, expr: load > 5, for: 5m, labels: {severity: page}}
`

func TestRulesRecordAndAlertsBecomePendingAndFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close(t)
		_, reg, stop := r.groups(t, write(t, recordAndAlert))
		defer stop()
		time.Sleep(time.Minute)
		if v, ok := r.value(t, `load{pool="web"}`); !ok || v != 7 {
			t.Errorf("recorded %v (there: %v), want 7", v, ok)
		}
		if _, ok := r.value(t, `ALERTS{alertname="Busy",alertstate="pending",severity="page",pool="web"}`); !ok {
			t.Error("alert is not pending after a minute")
		}
		time.Sleep(5 * time.Minute)
		if _, ok := r.value(t, `ALERTS{alertname="Busy",alertstate="firing"}`); !ok {
			t.Error("alert does not fire after six minutes")
		}
		if n := counted(t, reg, "firing"); n == 0 {
			t.Error("nothing was told of the alert")
		}
	})
}

func TestAnAlertThatFiredGoesOnFiringAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close(t)
		file := write(t, recordAndAlert)
		_, _, stop := r.groups(t, file)
		time.Sleep(6 * time.Minute)
		stop()
		time.Sleep(30 * time.Second)

		g, _, stop := r.groups(t, file)
		defer stop()
		time.Sleep(time.Minute) // the second evaluation restores
		if s := g.AlertingRules()[0].State(); s != promrules.StateFiring {
			t.Errorf("alert is %v after a restart, want firing", s)
		}
	})
}

func TestAnAlertThatWaitedWaitsNoLongerForARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close(t)
		file := write(t, recordAndAlert)
		_, _, stop := r.groups(t, file)
		time.Sleep(4 * time.Minute)
		stop()
		g, _, stop := r.groups(t, file)
		defer stop()
		time.Sleep(2 * time.Minute)
		if s := g.AlertingRules()[0].State(); s != promrules.StateFiring {
			t.Errorf("alert is %v, six minutes after it began and with a restart between, want firing", s)
		}
	})
}

func TestABadFileNeverReplacesAGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close(t)
		g, _, stop := r.groups(t, write(t, recordAndAlert))
		defer stop()
		bad := write(t, "groups:\n- name: g\n  rules:\n  - {record: load, expr: sum(}\n  - {record: 'no name', expr: up, for: 1m}\n")
		err := g.Apply(r.config, []string{bad})
		if err == nil {
			t.Fatal("no error")
		}
		for _, want := range []string{bad + ": 4:", "unclosed left parenthesis", bad + ": 5:", "invalid field 'for' in recording rule"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
		if n := len(g.RuleGroups()); n != 1 || len(g.RuleGroups()[0].Rules()) != 2 {
			t.Errorf("%d groups are left", n)
		}
	})
}

func TestAResolvedAlertIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.close(t)
		text := fmt.Sprintf("groups: [{name: g, rules: [{alert: Early, expr: 'vector(time()) < %d'}]}]", time.Now().Add(2*time.Minute).Unix())
		_, reg, stop := r.groups(t, write(t, text))
		defer stop()
		time.Sleep(4 * time.Minute)
		if counted(t, reg, "firing") == 0 || counted(t, reg, "resolved") == 0 {
			t.Errorf("told %v firing and %v resolved", counted(t, reg, "firing"), counted(t, reg, "resolved"))
		}
	})
}

func TestFilesAreListedOnce(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"b.rules.yaml", "a.rules.yaml", "a.scale.yaml"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Files([]string{filepath.Join(dir, "*.rules.yaml"), filepath.Join(dir, "a.rules.yaml")})
	if err != nil || len(got) != 2 || filepath.Base(got[0]) != "a.rules.yaml" {
		t.Errorf("files %v, %v", got, err)
	}
	if _, err := Files([]string{"["}); err == nil {
		t.Error("a bad pattern is no error")
	}
}

func counted(t *testing.T, reg *prometheus.Registry, state string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "flyball_alerting_alerts_total" && m.GetLabel()[0].GetValue() == state {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestShippedFilesAreReadLikeThoseOnDisk(t *testing.T) {
	shipped := fstest.MapFS{
		"good.rules.yaml": {Data: []byte("groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]")},
		"bad.rules.yaml":  {Data: []byte("groups: [{name: g, rules: [{alert: A, expr: up ==}]}]")},
	}
	r := newRig(t)
	defer r.close(t)
	g := New(Options{
		Shipped: shipped, Recorded: r.db, State: r.db, Query: promrules.EngineQueryFunc(r.engine, r.db),
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	if err := g.Apply(r.config, []string{Shipped + "good.rules.yaml"}); err != nil {
		t.Fatal(err)
	}
	if got := g.AlertingRules(); len(got) != 1 || got[0].Name() != "A" {
		t.Errorf("the alerts are %v", got)
	}
	for _, name := range []string{"bad.rules.yaml", "none.rules.yaml"} {
		if err := g.Check(r.config, []string{Shipped + name}); err == nil || !strings.Contains(err.Error(), Shipped+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Error(err)
	}
}
