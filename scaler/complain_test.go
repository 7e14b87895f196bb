package scaler

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAPoolThatCannotBeJudgedIsLoggedOnceAMinuteAndOnceItCanBeAgain(t *testing.T) {
	var out strings.Builder
	l := &loop{s: &Scaler{metrics: newMetrics(prometheus.NewRegistry())}, name: "web", log: slog.New(slog.NewTextHandler(&out, nil))}
	away, full := errors.New("the cloud is away"), errors.New("the disk is full")
	now := time.Now()
	for sec := range 90 {
		l.complain(away, now.Add(time.Duration(sec)*time.Second))
	}
	l.complain(full, now.Add(90*time.Second))
	l.complain(nil, now.Add(91*time.Second))
	l.complain(nil, now.Add(92*time.Second))
	l.complain(full, now.Add(93*time.Second))
	for text, want := range map[string]int{"the cloud is away": 2, "the disk is full": 2, "judged again": 1} {
		if n := strings.Count(out.String(), text); n != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, out.String())
		}
	}
	if n := testutil.ToFloat64(l.s.metrics.failures.WithLabelValues("web")); n != 92 {
		t.Errorf("%g failures are counted, want 92", n)
	}
}
