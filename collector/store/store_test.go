package store

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// noon is when tests take place. The head of an empty database takes any time.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func config(t testing.TB, text string) *promconfig.Config {
	t.Helper()
	c, err := promconfig.Load(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put writes one sample per series at a time, as one transaction.
func put(t testing.TB, s *Store, at time.Time, v float64, series ...string) {
	t.Helper()
	app := s.Appendable().AppenderV2(t.Context())
	for _, text := range series {
		if _, err := app.Append(0, metric(t, s, text), 0, at.UnixMilli(), v, nil, nil, storage.AOptions{}); err != nil {
			t.Fatalf("append %s: %v", text, err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// receive writes one sample per series as a remote write handler does.
func receive(t testing.TB, s *Store, at time.Time, v float64, series ...string) {
	t.Helper()
	app := receiving{s.received, s.wakeAccepted, s.tide}.Appender(t.Context())
	for _, text := range series {
		if _, err := app.Append(0, metric(t, s, text), at.UnixMilli(), v); err != nil {
			t.Fatalf("receive %s: %v", text, err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

func metric(t testing.TB, s *Store, text string) labels.Labels {
	t.Helper()
	ls, err := s.parser.ParseMetric(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return ls
}

func gathered(t testing.TB, g prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				key += l.GetName() + "=" + l.GetValue()
			}
			out[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestRestartKeepsWhatWasStored(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, noon, 7, `up{member="web-1"}`)
	receive(t, s, noon, 8, `outside{member="web-2"}`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, Options{Dir: dir})
	if err := s.Accept(map[string][]string{"web": {`{__name__="outside"}`}}); err != nil {
		t.Fatal(err)
	}
	wantPoints(t, s, "web", `up or outside`, noon.Add(time.Second), "web-1=7 web-2=8")
}

func TestRetentionHasPrometheusDefaultAndFollowsTheConfiguration(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"none", `{}`, "15d"},
		{"time", `{storage: {tsdb: {retention: {time: 3d}}}}`, "3d"},
		{"size", `{storage: {tsdb: {retention: {size: 10GB}}}}`, "10GiB"},
		{"both", `{storage: {tsdb: {retention: {time: 1h, size: 1GB}}}}`, "1h or 1GiB"},
		{"share of the disk", `{storage: {tsdb: {retention: {percentage: 40}}}}`, "40%"},
	} {
		t.Run(c.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			s := open(t, Options{Registerer: reg, Config: config(t, c.config)})
			if got := describe(*s.retained.Load()); got != c.want {
				t.Errorf("opened with retention %q, want %q", got, c.want)
			}
			if err := s.Apply(config(t, `{storage: {tsdb: {retention: {size: 1000MB}}}}`)); err != nil {
				t.Fatal(err)
			}
			bytes := gathered(t, reg, "prometheus_tsdb_retention_limit_bytes")[""]
			if want := 0.9 * 1000 * (1 << 20); bytes != want {
				t.Errorf("own database keeps %v bytes after a reload, want %v", bytes, want)
			}
		})
	}
}

func TestClosingTwiceOrWithoutReceivedIsNoError(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.received.open(); err == nil {
		t.Error("received database opened after closing")
	}
}
