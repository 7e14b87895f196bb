package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAQuestionToElasticsearchIsOneReadableLine(t *testing.T) {
	for _, c := range []struct {
		q    Elastic
		want string
	}{
		{
			Elastic{Index: "metrics-*", Fold: "avg", Field: "system.cpu.total.norm.pct", By: "host.name", Over: 2 * time.Minute, Filter: "host.name: api-*"},
			"elastic metrics-*: avg(system.cpu.total.norm.pct) by host.name over 2m where host.name: api-*",
		},
		{Elastic{Index: "m", Fold: "max", Field: "f", By: "b", Over: 90 * time.Second}, "elastic m: max(f) by b over 1m30s"},
		{Elastic{Index: "m", Fold: "max", Field: "f", By: "b", Over: time.Hour}, "elastic m: max(f) by b over 1h"},
		{Elastic{Index: "m", Fold: "max", Field: "f", By: "b", Over: time.Minute, Filter: "a: b\n  OR c: d"}, "elastic m: max(f) by b over 1m where a: b OR c: d"},
		{Elastic{Index: "m", Body: `{"size":0}`, ValuePath: "a[*].v", MemberPath: "key"}, `elastic m: a[*].v by key of {"size":0}`},
		{Elastic{Index: "m", Body: `{"size":0}`, ValuePath: "a.v"}, `elastic m: a.v of {"size":0}`},
	} {
		if got := c.q.String(); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	long := Elastic{Index: "m", Body: strings.Repeat("ü", 300)}.String()
	if len([]rune(long)) != mostShown || !strings.HasSuffix(long, "...") {
		t.Errorf("a long search is shown as %s", long)
	}
}

// aged is an answer whose samples are as old as told, one by one.
func aged(value float64, ages ...time.Duration) Answer {
	r := Reading{Seen: map[string]time.Time{}}
	for i, age := range ages {
		name, at := fmt.Sprintf("web-%d", i+1), epoch.Add(-age)
		r.Points, r.Seen[name] = append(r.Points, Point{name, value}), at
		if at.After(r.Newest) {
			r.Newest = at
		}
	}
	return Answer{Reading: r}
}

func TestASignalSaysItselfHowOldItMayBe(t *testing.T) {
	shipped := cpu() // whose samples may be 15 s old
	shipped.Signals[0].Stale = 150 * time.Second
	pooled := latency()
	pooled.Signals[0].Stale = 150 * time.Second
	up := each(epoch, times(4, 1)...).Reading
	oldUp := aged(1, 40*time.Second, 40*time.Second, 40*time.Second, 40*time.Second).Reading
	old := func(age time.Duration) []time.Duration { return []time.Duration{age, age, age, age} }
	whole := func(age time.Duration) Answer {
		return Answer{Reading: Reading{Points: []Point{{Value: 0.01}}, Newest: epoch.Add(-age)}}
	}
	for _, c := range []struct {
		name   string
		rule   Scale
		answer Answer
		up     *Reading
		want   string
	}{
		{"a shipped document is older than a scrape", shipped, aged(0.1, old(40*time.Second)...), nil, "scale_in 3 signal"},
		{"a scraped sample of that age is stale", cpu(), aged(0.1, old(40*time.Second)...), nil, "keep 4 stale_data"},
		{"the bound is the signal's", shipped, aged(0.1, old(150*time.Second)...), nil, "scale_in 3 signal"},
		{"beyond it there is no answer", shipped, aged(0.1, old(151*time.Second)...), nil, "keep 4 stale_data"},
		{"one silent member is not heard", shipped, aged(0.1, 10*time.Second, 10*time.Second, 10*time.Second, 160*time.Second), nil, "keep 4 low_coverage"},
		{"a pool's value may be as old", pooled, whole(40 * time.Second), &up, "scale_in 3 signal"},
		{"its members' up may not", pooled, whole(40 * time.Second), &oldUp, "keep 4 low_coverage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Inputs{Members: pool(4), Terms: can, Answers: []Answer{c.answer}, Up: c.up}
			d, m := Decide(c.rule, in, settled(1), epoch)
			if got := fmt.Sprintf("%s %d %s", d.Verdict, d.To, d.Reason); got != c.want {
				t.Errorf("decided %s, want %s\n%s", got, c.want, show(d))
			}
			checkRound(t, c.rule, in, settled(1), d, m)
		})
	}
}

// thesis is a band over the members' mean.
func thesis() Scale {
	r := cpu()
	r.Signals = []Signal{{Name: "cpu", Scope: PerMember, Band: &Band{Above: 0.45, Add: Amount{Members: 1}, Below: 0.1}}}
	return r
}

func TestABandOverMembersIsJudgedByTheirMean(t *testing.T) {
	old := epoch.Add(-2 * time.Minute)
	for _, c := range []struct {
		name    string
		members []Member
		answer  Answer
		memory  Memory
		want    string
		because string
	}{
		{"above it grows", pool(4), each(epoch, 0.9, 0.5, 0.3, 0.2), settled(1), "scale_out 5 signal", "0.47 > 0.45, adds 1"},
		{"between it rests", pool(4), each(epoch, 0.9, 0.5, 0.1, 0.1), settled(1), "keep 4 in_band", "0.10 <= 0.40 <= 0.45"},
		{"below it shrinks", pool(4), each(epoch, times(4, 0.05)...), settled(1), "scale_in 3 signal", "0.05 < 0.10"},
		{"a silent member bars scale-in", pool(5), each(epoch, times(4, 0.05)...), settled(1), "keep 5 in_band", "0.05 < 0.10, but 0.13 with 1 that may be busy"},
		{"one silent of many cannot matter", pool(20), each(epoch, times(19, 0.01)...), settled(1), "scale_in 15 signal", "0.01 < 0.10"},
		{"fewer than the coverage is low coverage", pool(4), each(epoch, times(3, 0.05)...), settled(1), "keep 4 low_coverage", "3 of 4"},
		{"few that are heard may still want more", pool(4), each(epoch, 0.9, 0.9), settled(1), "scale_out 5 signal", "2 of 4"},
		{"one that boots bars scale-in", states(pool(5), epoch.Add(-time.Second), Booting), each(epoch, times(4, 0.05)...), settled(1), "keep 5 in_band", "1 that may be busy"},
		{"one that warms up bars scale-in", states(pool(5), epoch.Add(-time.Second), Ready), each(epoch, times(5, 0.05)...), settled(1), "keep 5 in_band", "1 that may be busy"},
		{"a draining member's rest is no room", states(pool(4), old, Draining), each(epoch, 0.5, 0.5, 0.5, 0), draining(settled(1), "web-4"), "scale_out 4 signal", "0.50 > 0.45"},
		{"a sick member's rest is no room", states(pool(2), epoch.Add(-time.Second), Unhealthy), each(epoch, 0.8, 0), settled(1), "scale_out 3 signal", "0.80 > 0.45"},
		{"a sick member's load counts", states(pool(2), epoch.Add(-time.Second), Unhealthy), each(epoch, 0.3, 1), settled(1), "scale_out 3 signal", "0.65 > 0.45"},
		{"members that are no longer there do not count", pool(2), each(epoch, 0.05, 0.05, 1, 1), settled(1), "keep 2 in_band", "0.05 < 0.10"},
		{"a folded mean counts who was heard", pool(5), folded(epoch, 4, 0.05), settled(1), "keep 5 in_band", "0.05 < 0.10, but 0.13"},
		{"a folded mean of all shrinks", pool(5), folded(epoch, 5, 0.05), settled(1), "scale_in 4 signal", "0.05 < 0.10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Inputs{Members: c.members, Terms: can, Answers: []Answer{c.answer}}
			d, m := Decide(thesis(), in, c.memory, epoch)
			if got := fmt.Sprintf("%s %d %s", d.Verdict, d.To, d.Reason); got != c.want {
				t.Errorf("decided %s, want %s\n%s", got, c.want, show(d))
			}
			if !strings.Contains(d.Signals[0].Because, c.because) {
				t.Errorf("because %q lacks %q", d.Signals[0].Because, c.because)
			}
			checkRound(t, thesis(), in, c.memory, d, m)
		})
	}
}
