package views

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gathered are the values of the registry's metrics, by name and dataset.
func gathered(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			out[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestMetricsTellLagDocumentsAndRefusals(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics(reg)
	if got := gathered(t, reg)["flyball_elastic_views_lag_seconds"]; got != 0 {
		t.Errorf("lag %v without views", got)
	}
	now := time.Now()
	v := all(t)["system.load"]
	s := &sink{}
	o := Options{Range: fixed{}, State: began(now.Add(-time.Hour)), Deliver: s, Views: []View{v}, Metrics: m, Now: func() time.Time { return now }}
	r := runner(t, o)
	before := gathered(t, reg)
	if lag := before["flyball_elastic_views_lag_seconds"]; lag < 3600 || lag > 3700 {
		t.Errorf("lag %v, want an hour", lag)
	}
	for _, name := range []string{"documents_total", "refused_total"} {
		if n, there := before["flyball_elastic_views_"+name+" system.load"]; !there || n != 0 {
			t.Errorf("%s: %v, there: %v", name, n, there)
		}
	}
	for floor(now.Add(-10*time.Second), 10*time.Second).After(r.Status().Until) {
		r.round(t.Context())
	}
	after := gathered(t, reg)
	if n := after["flyball_elastic_views_documents_total system.load"]; n < 358 || n > 360 || int(n) != len(s.all()) {
		t.Errorf("%v documents counted, %d sent", n, len(s.all()))
	}
	if lag := after["flyball_elastic_views_lag_seconds"]; lag > 120 {
		t.Errorf("lag %v", lag)
	}
	NewMetrics(prometheus.NewRegistry())
}

func TestTheLagIsNobodysOnceARunnerHasEnded(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	o := Options{
		Range: fixed{}, State: began(time.Now().Add(-time.Hour)), Deliver: &sink{}, Views: []View{all(t)["system.load"]}, Metrics: NewMetrics(reg),
	}
	r := runner(t, o)
	if lag := gathered(t, reg)["flyball_elastic_views_lag_seconds"]; lag < 3600 {
		t.Errorf("lag %v before, want an hour", lag)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
	if lag := gathered(t, reg)["flyball_elastic_views_lag_seconds"]; lag != 0 {
		t.Errorf("lag %v after the end", lag)
	}
}
