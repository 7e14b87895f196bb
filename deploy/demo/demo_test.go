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
	sc := Options{}.script()
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
		if name, rate := sc.at(c.at); name != c.name || rate != c.rate {
			t.Errorf("at %s: %s %g, want %s %g", c.at, name, rate, c.name, c.rate)
		}
	}
	if sc.length() != 3*time.Minute {
		t.Errorf("the script takes %s", sc.length())
	}
	if got := sc.crossing(); got < 21*time.Second || got > 22*time.Second {
		t.Errorf("the load crosses at %s", got)
	}
	if from, to := sc.span("HOLD"); from != 30*time.Second || to != 2*time.Minute {
		t.Errorf("the load is held from %s to %s", from, to)
	}
	if got, want := sc.rate(), "10@20s,10-64@10s,64@1m30s,64-10@10s,10@50s"; got != want {
		t.Errorf("the load is asked for as %s, want %s", got, want)
	}
}

func TestElasticsearchIsCutOffWhileTheLoadFallsAndNotWhenFlyballIsKilled(t *testing.T) {
	sc := Options{Elasticsearch: "http://127.0.0.1:9200"}.script()
	hold, fall := sc.span("HOLD")
	_, calm := sc.span("FALL")
	if !(hold < sc.kill && sc.kill < sc.cut && sc.cut < fall && calm < sc.mend && sc.mend < sc.length()) {
		t.Errorf("killed at %s, cut off at %s, back at %s; held from %s, calm from %s", sc.kill, sc.cut, sc.mend, hold, calm)
	}
	if d := sc.mend - sc.cut; d < 20*time.Second || d > 30*time.Second {
		t.Errorf("cut off for %s", d)
	}
	if sc.length() > 150*time.Second {
		t.Errorf("the script takes %s", sc.length())
	}
}

func TestWhatCannotBePlayedIsNamed(t *testing.T) {
	good := Options{Pool: Processes, Store: SQLite}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for address, ok := range map[string]bool{
		"http://127.0.0.1:9200":          true,
		"http://[::1]:9200/":             true,
		"http://es":                      true,
		"https://es:9200":                false,
		"http://user:word@es:9200":       false,
		"http://es:9200/behind":          false,
		"http://es:9200?x=y":             false,
		"127.0.0.1:9200":                 false,
		"http://:9200":                   false,
		"unix:///run/elasticsearch.sock": false,
		"http://es:92 00":                false,
	} {
		o := good
		o.Elasticsearch = address
		err := o.Validate()
		if (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "make servers ARGS=elasticsearch") || strings.Contains(err.Error(), "word")) {
			t.Errorf("%s: the mistake says %q", address, err)
		}
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
	st := &stage{listen: "127.0.0.1:9480", script: threeMinutes()}
	page := newView(Options{}, st).page(h)
	fits(t, page)
	for _, want := range []string{"1:23 of 3:00 HOLD", "4101", "draining", "worst 2.1s at 1:23", "5 adopted", "of 4,150 answers"} {
		if !strings.Contains(page, want) {
			t.Errorf("the picture lacks %q:\n%s", want, page)
		}
	}
}

// fits checks that a picture can be shown on the smallest of terminals.
func fits(t *testing.T, page string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(page, "\n"), "\n")
	if len(lines) > 24 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > width {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

func TestThePictureTellsThatElasticsearchIsCutOff(t *testing.T) {
	busy, now := 0.52, time.Now()
	h := newHistory()
	h.restart(now.Add(-time.Minute))
	h.load(progress{At: now, Elapsed: 60})
	var ms []rules.Member
	for range most {
		ms = append(ms, rules.Member{Name: "web-1", Note: "pid 4101", State: rules.Ready, Born: now})
	}
	h.status(scaler.PoolStatus{Name: "web", Members: ms, Decision: &rules.Decision{
		Signals: []rules.Judged{{Name: "busy", Value: &busy, Age: "2.4s"}},
	}})
	v := newView(Options{}, &stage{listen: "127.0.0.1:9480", script: byElastic(), elastic: &elastic{}})
	if page := v.page(h); !strings.Contains(page, "52%") || !strings.Contains(page, "of Elasticsearch, 2.4s old") {
		t.Errorf("the picture does not tell of the signal:\n%s", page)
	}
	h.cut = now
	for range 9 {
		h.note(now, "Elasticsearch is cut off for 22s: the pool is to hold (missing_data)")
	}
	page := v.page(h)
	fits(t, page)
	if !strings.Contains(page, "Elasticsearch is cut off\n") || !strings.Contains(page, "the pool is to hold (missing_data)") {
		t.Errorf("the picture does not tell of the outage:\n%s", page)
	}
	h.mend = now
	if page := v.page(h); strings.Contains(page, "Elasticsearch is cut off\n") {
		t.Errorf("the picture tells of an outage that is over:\n%s", page)
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
