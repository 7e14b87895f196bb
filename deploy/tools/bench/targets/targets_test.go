package targets

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestTargetsAnswerAsManySeriesAsAskedFor(t *testing.T) {
	farm, err := Listen(2, 205, Shared)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- farm.Run(ctx) }()

	for _, addr := range farm.Addrs() {
		res, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(res.Body)
		if err != nil {
			t.Fatalf("parsing the page of %s: %v", addr, err)
		}
		_ = res.Body.Close()
		n := 0
		for _, f := range families {
			n += len(f.GetMetric())
		}
		if n != 205 || len(families) != 21 {
			t.Errorf("%s has %d series in %d families, want 205 in 21", addr, n, len(families))
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := farm.Served(); got != 2*205 {
		t.Errorf("served %d samples, want 410", got)
	}
}

func TestCountersNeverFallAndLevelsMove(t *testing.T) {
	target := newTarget(1, 100, Shared)
	first, second := families(t, target.page()), families(t, target.page())
	moved := 0
	for name, f := range first {
		for i, m := range f.GetMetric() {
			before, after := value(m), value(second[name].GetMetric()[i])
			if strings.HasSuffix(name, "_total") && after < before {
				t.Errorf("%s fell from %v to %v", name, before, after)
			}
			if after != before {
				moved++
			}
		}
	}
	if moved < 80 { // nine families of ten move, hardly any series by nothing
		t.Errorf("%d of 100 series moved", moved)
	}
}

func TestALayoutSaysWhichLabelSetsFamiliesHave(t *testing.T) {
	for layout, want := range map[Layout]int{Shared: 10, Distinct: 100} {
		sets := map[string]bool{}
		for _, f := range families(t, newTarget(1, 100, layout).page()) {
			for _, m := range f.GetMetric() {
				sets[fmt.Sprint(m.GetLabel())] = true
			}
		}
		if len(sets) != want {
			t.Errorf("100 series that are %s have %d label sets, want %d", layout, len(sets), want)
		}
	}
}

func families(t *testing.T, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	fs, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func value(m *dto.Metric) float64 { return m.GetCounter().GetValue() + m.GetGauge().GetValue() }
