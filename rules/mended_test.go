package rules

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// Cases in which an earlier form of the law was wrong, or said it wrongly.
func TestTheLawWhereItWasWrong(t *testing.T) {
	six := []MemberID{"web-7", "web-8", "web-9", "web-10", "web-11", "web-12"}
	drains := states(pool(12), epoch.Add(-5*time.Second), Draining, Draining, Draining, Draining, Draining, Draining)
	hold := func(name string, dir Direction) Scale {
		r := cpu()
		r.Holds = []Hold{{Name: name, Above: 0.9, Forbid: dir}}
		return r
	}
	low := hold("busy", DirIn)
	lowered := hold("busy", DirIn)
	lowered.Max = 2
	two := hold("aaa", DirIn)
	two.Holds = append(two.Holds, Hold{Name: "bbb", Above: 0.9, Forbid: DirOut})
	both := cpu()
	both.Signals = append(both.Signals, requests().Signals...)
	max6 := cpu()
	max6.Max = 6
	sick := pool(4)
	for i := range sick {
		sick[i].State, sick[i].Since = Unhealthy, epoch.Add(-time.Duration(i+1)*10*time.Minute)
	}
	up := each(epoch, times(4, 1)...).Reading
	part := folded(epoch, 1, 0.1)
	part.Reading.Partial = "a shard is gone"
	floored := settled(2)
	floored.Resizes = []Resize{{epoch.Add(-65 * time.Second), 6}} // pool set 8, then resume
	ago := epoch.Add(-10 * time.Minute)
	shrunk := settled(7)
	shrunk.Resizes = []Resize{{epoch.Add(-time.Second), -2}} // as many as may go in a period
	for _, c := range []struct {
		name string
		r    Scale
		in   Inputs
		m    Memory
		want string // part of "verdict to reason | line"
	}{
		{"a folded mean counts draining members' samples", cpu(), Inputs{Members: drains, Answers: []Answer{folded(epoch, 12, 0.45)}}, draining(settled(1), six...), "scale_out 9"},
		{"one -Inf swallows nobody's load", cpu(), Inputs{Members: pool(4), Answers: []Answer{each(epoch, 0.9, 0.9, 0.9, math.Inf(-1))}}, settled(1), "scale_out 5"},
		{"a resumed floor leaves through the in limits", cpu(), Inputs{Members: pool(8), Answers: []Answer{each(epoch, times(8, 0.05)...)}}, floored, "scale_in 6"},
		{"a partly answered hold bars scale-in", low, Inputs{Members: pool(4), Answers: []Answer{each(epoch, times(4, 0.1)...)}, Holds: []Answer{part}}, settled(1), "keep 4 hold"},
		{"a hold bars a lowered ceiling", lowered, Inputs{Members: pool(8), Answers: []Answer{each(epoch, times(8, 0.6)...)}, Holds: []Answer{folded(epoch, 1, 5)}}, settled(1), "keep 8 hold"},
		{"a hold that is not known says so", low, Inputs{Members: pool(4), Answers: []Answer{each(epoch, times(4, 0.6)...)}, Holds: []Answer{{Err: "no data"}}}, settled(1), "no data"},
		{"the hold that forbids is named", two, Inputs{Members: pool(4), Answers: []Answer{each(epoch, times(4, 1)...)}, Holds: []Answer{folded(epoch, 1, 5), folded(epoch, 1, 6)}}, settled(1), "bbb"},
		{"doubt does not hide the ceiling", both, Inputs{Members: pool(20), Answers: []Answer{each(epoch, times(20, 1)...), {Err: "no data"}}}, settled(1), "keep 20 at_max"},
		{"the ceiling that shrinks is named", max6, Inputs{Members: pool(8), Answers: []Answer{each(epoch, times(8, 0.3)...)}}, settled(8), "scale_in 6 at_max"},
		{"the dead above the ceiling go at once, and are not replaced", max6, Inputs{Members: states(pool(7), ago, Dead), Answers: []Answer{each(epoch, times(6, 0.6)...)}}, shrunk, "scale_in 6 at_max"},
		{"the dead are replaced below the ceiling alone", max6, Inputs{Members: states(pool(7), ago, Dead, Dead), Answers: []Answer{each(epoch, times(5, 0.72)...)}}, shrunk, "scale_in 6 at_max"},
		{"the sick above the ceiling go when the rate allows, and are not replaced", max6, Inputs{Members: states(pool(7), ago, Unhealthy), Answers: []Answer{each(epoch, times(6, 0.6)...)}}, shrunk, "keep 7 rate_limited"},
		{"one that boots for ever blocks no growth", latency(), Inputs{Members: states(pool(5), epoch.Add(-14*time.Minute), Booting), Up: &up, Answers: []Answer{folded(epoch, 4, 30)}}, settled(1), "scale_out"},
		{"a band does not shrink a pool of the sick", latency(), Inputs{Members: sick, Up: &Reading{}, Answers: []Answer{folded(epoch, 4, 0.01)}}, settled(1), "replace 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Terms = can
			d, _ := Decide(c.r, c.in, c.m, epoch)
			if got := fmt.Sprintf("%s %d %s | %s", d.Verdict, d.To, d.Reason, d.Line()); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// A provider that fails three times is no proof that members do not help.
func TestFailedGrowthIsNoUselessAddition(t *testing.T) {
	m, r := settled(1), latency()
	var d Decision
	for i := range 20 {
		now := epoch.Add(time.Duration(i) * 20 * time.Second)
		u := each(now, times(4, 1)...).Reading
		d, m = Decide(r, Inputs{Members: pool(4), Terms: can, Up: &u, Answers: []Answer{folded(now, 4, 1)}}, m, now)
		if d.Acts() {
			n := []string{fmt.Sprint("new-", i)}
			m.Expect(n, 0, now)
			m.Doubt(n, false, nil, can, now)
			m.Ended(DirOut, "503", now)
		}
	}
	if d.Reason == NoEffect {
		t.Error(d.Line())
	}
}

func TestAClockThatWentBackHoldsNothingForThatLong(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(8)}, m: settled(1)}
	day := epoch.Add(24 * time.Hour)
	s.m.Judged, s.m.Resizes, s.m.Highs = day, []Resize{{day, 4}}, []Wish{{day, 8}}
	s.m.Failed = map[Direction]Failure{DirOut: {Count: 1, Until: day}}
	s.at(0, each(epoch, times(8, 0.9)...), "keep 8 rate_limited")
	s.at(61, each(epoch, times(8, 0.9)...), "scale_out 12 signal provider_backoff")
	s.at(301, each(epoch, times(8, 0.9)...), "scale_out 12 signal")
}
