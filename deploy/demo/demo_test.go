package demo

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"flyball/rules"
	"flyball/scaler"
)

func TestTheScriptRisesWithinTenSecondsIsHeldAndFalls(t *testing.T) {
	for _, c := range []struct {
		at   time.Duration
		name string
		rate float64
	}{
		{0, "CALM", 10},
		{25 * time.Second, "RISE", 37},
		{30 * time.Second, "HOLD", 64},
		{125 * time.Second, "FALL", 37},
		{179 * time.Second, "CALM", 10},
		{time.Hour, "CALM", 10},
	} {
		if name, rate := at(c.at); name != c.name || rate != c.rate {
			t.Errorf("at %s: %s %g, want %s %g", c.at, name, rate, c.name, c.rate)
		}
	}
	if length() != 3*time.Minute {
		t.Errorf("the script takes %s", length())
	}
	if got := crossing(); got < 21*time.Second || got > 22*time.Second {
		t.Errorf("the load crosses at %s", got)
	}
	if got, want := rate(), "10@20s,10-64@10s,64@1m30s,64-10@10s,10@50s"; got != want {
		t.Errorf("the load is asked for as %s, want %s", got, want)
	}
}

func TestThePictureFitsEightyColumns(t *testing.T) {
	h := newHistory()
	h.restart(time.Now().Add(-84 * time.Second))
	for i := range 84 {
		h.load(progress{At: time.Now(), Elapsed: float64(i), Offered: float64(i), P99: float64(i * 25), Answers: 50 * i})
	}
	one := 1
	h.status(scaler.PoolStatus{Name: "web", Rule: "web.scale.yaml:3", Members: []rules.Member{
		{Name: "web-1", Note: "pid 4101", State: rules.Ready, Born: time.Now().Add(-time.Minute), Open: &one},
		{Name: "web-2", Note: "pid 4102", State: rules.Draining, Born: time.Now()},
	}})
	h.note(time.Now(), "kill -9 of flyball: back after 0.9s, 5 adopted, 0 requests failed")
	page := newView(Options{}).page(h, "127.0.0.1:9480")
	for _, l := range strings.Split(page, "\n") {
		if n := utf8.RuneCountInString(l); n > width {
			t.Errorf("%d columns: %s", n, l)
		}
	}
	for _, want := range []string{"1:23 of 3:00 HOLD", "4101", "draining", "worst 2.1s at 1:23", "5 adopted", "of 4,150 answers"} {
		if !strings.Contains(page, want) {
			t.Errorf("the picture lacks %q:\n%s", want, page)
		}
	}
}

func TestASparklineIsScaledToItsLargest(t *testing.T) {
	var ss []sample
	for i := range 90 {
		ss = append(ss, sample{offered: float64(i)})
	}
	got := spark(ss, func(s sample) float64 { return s.offered })
	if utf8.RuneCountInString(got) != columns || !strings.HasPrefix(got, "▁") || !strings.HasSuffix(got, "█") {
		t.Errorf("drew %q", got)
	}
}
