package views

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatTheDataStreamsDoNotReachIsSkippedAndSaid(t *testing.T) {
	now := at(30 * 24 * time.Hour)
	state := began(now.Add(-10 * 24 * time.Hour))
	r := runner(t, Options{Range: fixed{}, State: state, Deliver: &sink{}, Views: []View{all(t)["system.load"]}, Now: func() time.Time { return now }})
	r.round(t.Context())
	s := r.Status()
	if want := (3*24*time.Hour + time.Hour).Seconds(); s.Skipped != want {
		t.Errorf("skipped %v seconds, want %v", s.Skipped, want)
	}
	if want := now.Add(-reach).Add(firstSteps * 10 * time.Second); !s.Until.Equal(want) {
		t.Errorf("has come up to %s, want %s", s.Until, want)
	}
}

func TestGapsAreToldAtOnceAndThenTogetherAndAtTheEnd(t *testing.T) {
	c := &clock{at(30 * 24 * time.Hour)}
	var told []string
	r := runner(t, Options{
		Range: fixed{}, State: began(c.now.Add(-reach - time.Hour)), Deliver: &sink{}, Views: []View{all(t)["system.load"]},
		Now:     func() time.Time { return c.now },
		Skipped: func(from, until time.Time) { told = append(told, from.Format("15:04:05")+" "+until.Sub(from).String()) },
	})
	for range 12 {
		r.skip(c.now)
		c.now = c.now.Add(time.Minute)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"00:00:00 1h0m0s", "01:00:00 10m0s", "01:10:00 1m0s"}, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	if got, want := r.Status().Skipped, (71 * time.Minute).Seconds(); got != want {
		t.Errorf("skipped %v seconds, want %v", got, want)
	}
}
