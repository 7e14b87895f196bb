package rules

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"
)

// A story judges one pool again and again.
type story struct {
	t  *testing.T
	r  Scale
	in Inputs
	m  Memory
	d  Decision
}

// at judges as of seconds after the epoch and compares verdict, size and reason.
func (s *story) at(seconds float64, answer Answer, want string) {
	s.t.Helper()
	now := epoch.Add(time.Duration(seconds * float64(time.Second)))
	for i := range answer.Reading.Seen {
		answer.Reading.Seen[i] = answer.Reading.Seen[i].Add(now.Sub(epoch))
	}
	if !answer.Reading.Newest.IsZero() {
		answer.Reading.Newest = answer.Reading.Newest.Add(now.Sub(epoch))
	}
	s.in.Answers, s.in.Terms = []Answer{answer}, can
	d, m := Decide(s.r, s.in, s.m, now)
	checkRound(s.t, s.r, s.in, s.m, d, m)
	s.d, s.m = d, m
	got := fmt.Sprintf("%s %d %s", d.Verdict, d.To, d.Reason)
	if d.Refused != "" {
		got += " " + string(d.Refused)
	}
	if got != want {
		s.t.Errorf("at %gs decided %s, want %s\n%s", seconds, got, want, show(d))
	}
}

func TestScaleInWaitsForTheWindowAndTakesItsLargestWish(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(8)}, m: settled(8)}
	s.at(0, each(epoch, times(8, 0.1)...), "keep 8 stabilising")
	s.at(100, each(epoch, times(8, 0.45)...), "keep 8 stabilising") // wants 6
	s.at(298, each(epoch, times(8, 0.1)...), "keep 8 stabilising")
	s.at(300, each(epoch, times(8, 0.1)...), "scale_in 6 signal") // 6 within the window; 8 has left it
	s.in.Members = pool(6)
	s.at(315, each(epoch, times(6, 0.1)...), "keep 6 stabilising")
	s.at(401, each(epoch, times(6, 0.1)...), "keep 6 rate_limited") // two went 101 s ago
	s.at(421, each(epoch, times(6, 0.1)...), "scale_in 5 signal")
}

func TestScaleOutWaitsForItsWindow(t *testing.T) {
	r := cpu()
	r.Out.Window = time.Minute
	s := story{t: t, r: r, in: Inputs{Members: pool(4)}, m: settled(4)}
	s.at(0, each(epoch, times(4, 0.5)...), "keep 4 in_band")
	s.at(15, each(epoch, times(4, 0.9)...), "keep 4 stabilising")
	s.at(59, each(epoch, times(4, 0.9)...), "keep 4 stabilising")
	s.at(60, each(epoch, times(4, 0.9)...), "scale_out 6 signal")
}

// A wish to grow within the in window must not make a shrinking pool grow
// (kubernetes #96671, #98174).
func TestAnOldLargeWishDoesNotGrowAShrinkingPool(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: settled(1)}
	s.m.Highs = raise(nil, Wish{epoch.Add(-time.Minute), 9})
	s.at(0, each(epoch, times(4, 0.3)...), "keep 4 stabilising")
}

func TestScaleOutRateCountsWhatCameWithinThePeriod(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: settled(4)}
	s.at(0, each(epoch, times(4, 3)...), "scale_out 8 signal")
	s.in.Members = states(pool(8), epoch, Booting, Booting, Booting, Booting)
	s.at(15, each(epoch, times(4, 3)...), "keep 8 rate_limited")
	s.at(60, each(epoch, times(4, 3)...), "scale_out 16 signal")
}

func TestALoweredCeilingShrinksThroughTheInLimitsOnly(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(20)}, m: settled(20)}
	s.r.Max = 2
	s.at(0, each(epoch, times(20, 0.6)...), "scale_in 15 at_max")
	s.in.Members = pool(15)
	s.at(15, each(epoch, times(15, 0.6)...), "keep 15 rate_limited")
	s.at(121, Answer{Err: "connection refused"}, "keep 15 missing_data")
	s.at(136, each(epoch, times(15, 0.6)...), "scale_in 12 at_max")
}

func TestMissingDataBarsScaleInForOneWindowMore(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: settled(1)}
	s.at(0, Answer{Err: "no data"}, "keep 4 missing_data")
	s.at(15, each(epoch, times(4, 0.1)...), "keep 4 stabilising")
}

func TestLongMissingDataWantsAtLeast(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: settled(4)}
	s.r.Missing.AtLeast = 6
	s.at(0, Answer{Err: "no data"}, "keep 4 missing_data")
	s.at(179, Answer{Err: "no data"}, "keep 4 missing_data")
	s.at(180, Answer{Err: "no data"}, "scale_out 6 missing_data")
	s.in.Members = pool(6)
	s.at(195, Answer{Err: "no data"}, "keep 6 missing_data")
}

func TestOneInvalidSignalBarsScaleInAndNotScaleOut(t *testing.T) {
	r := cpu()
	r.Signals = append(r.Signals, requests().Signals...)
	for _, c := range []struct {
		name     string
		cpu, req Answer
		want     Verdict
		reason   Reason
	}{
		{"low beside missing", each(epoch, times(4, 0.1)...), Answer{Err: "no data"}, Keep, MissingData},
		{"high beside missing", each(epoch, times(4, 0.9)...), Answer{Err: "no data"}, ScaleOut, BySignal},
		{"the larger wish wins", each(epoch, times(4, 0.1)...), each(epoch, times(4, 21)...), ScaleOut, BySignal},
		{"idle abstains", each(epoch, times(4, 0.1)...), each(epoch, times(4, math.NaN())...), ScaleIn, BySignal},
		{"idle beside missing keeps", each(epoch, times(4, math.NaN())...), Answer{Err: "no data"}, Keep, MissingData},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Inputs{Members: pool(4), Terms: can, Answers: []Answer{c.cpu, c.req}}
			d, _ := Decide(r, in, settled(1), epoch)
			if d.Verdict != c.want || d.Reason != c.reason {
				t.Errorf("decided %s %s, want %s %s\n%s", d.Verdict, d.Reason, c.want, c.reason, show(d))
			}
		})
	}
}

func TestABandAddsWaitsForTheWarmUpAndGivesUpWhenItBringsNothing(t *testing.T) {
	up := each(epoch, times(9, 1)...).Reading
	s := story{t: t, r: latency(), in: Inputs{Members: pool(4), Up: &up}, m: settled(4)}
	value := func(v float64) Answer { a := folded(epoch, 0, v); a.Reading.Seen = nil; return a }
	s.r.Missing.Stale = time.Hour
	s.at(0, value(0.1), "keep 4 in_band")
	s.at(15, value(0.5), "scale_out 5 signal")
	s.in.Members = states(pool(5), epoch.Add(20*time.Second), Ready)
	s.at(30, value(0.5), "keep 5 warming")
	s.at(90, value(0.49), "scale_out 7 signal") // a quarter of 5, rounded up
	s.in.Members = pool(7)
	s.at(180, value(0.49), "scale_out 9 signal")
	s.in.Members = pool(9)
	s.at(270, value(0.49), "keep 9 no_effect")
	s.at(285, value(0.2), "keep 9 in_band")
	s.at(300, value(0.5), "scale_out 12 signal") // it was in the band: a new story
}

func TestBelowTheBandThePoolShrinksThroughTheInLimits(t *testing.T) {
	up := each(epoch, times(8, 1)...).Reading
	s := story{t: t, r: latency(), in: Inputs{Members: pool(8), Up: &up}, m: settled(1)}
	s.at(0, folded(epoch, 0, 0.01), "scale_in 6 signal")
}

func TestAPoolWideSignalIsCoveredByTheMembersUp(t *testing.T) {
	up := each(epoch, 1, 1, 0, 0).Reading
	s := story{t: t, r: latency(), in: Inputs{Members: pool(4), Up: &up}, m: settled(1)}
	s.at(0, folded(epoch, 0, 0.01), "keep 4 low_coverage")
}

func TestHolds(t *testing.T) {
	hold := func(forbid Direction) Scale {
		r := cpu()
		r.Holds = []Hold{{Name: "database_busy", Above: 0.9, For: time.Minute, Forbid: forbid}}
		return r
	}
	busy := Answer{Reading: Reading{Points: []Point{{Value: 0.95}}, Newest: epoch.Add(time.Hour)}}
	calm := Answer{Reading: Reading{Points: []Point{{Value: 0.5}}, Newest: epoch.Add(time.Hour)}}
	t.Run("forbids scale-out after its time", func(t *testing.T) {
		s := story{t: t, r: hold(DirOut), in: Inputs{Members: pool(4), Holds: []Answer{busy}}, m: settled(4)}
		s.at(0, each(epoch, times(4, 0.6)...), "keep 4 in_band")
		s.at(60, each(epoch, times(4, 0.9)...), "keep 4 hold")
		s.in.Holds = []Answer{calm}
		s.at(75, each(epoch, times(4, 0.9)...), "scale_out 6 signal")
	})
	t.Run("not known, it bars scale-in", func(t *testing.T) {
		s := story{t: t, r: hold(DirOut), in: Inputs{Members: pool(4), Holds: []Answer{{Err: "timeout"}}}, m: settled(1)}
		s.at(0, each(epoch, times(4, 0.1)...), "keep 4 hold")
	})
	t.Run("not known, it lets scale-out be", func(t *testing.T) {
		s := story{t: t, r: hold(DirOut), in: Inputs{Members: pool(4), Holds: []Answer{{Err: "timeout"}}}, m: settled(1)}
		s.at(0, each(epoch, times(4, 0.9)...), "scale_out 6 signal")
	})
	t.Run("the floor beats it", func(t *testing.T) {
		s := story{t: t, r: hold(DirOut), in: Inputs{Members: pool(1), Holds: []Answer{busy}}, m: settled(1)}
		s.m.Above = map[string]time.Time{"database_busy": epoch.Add(-time.Hour)}
		s.at(0, each(epoch, 0.9), "scale_out 2 at_min")
	})
}

func TestRefusals(t *testing.T) {
	grow := each(epoch, times(4, 0.9)...)
	for _, c := range []struct {
		name string
		edit func(*story)
		want Reason
	}{
		{"a paused pool", func(s *story) { s.in.Pause = &Order{Until: epoch.Add(time.Minute)} }, Paused},
		{"a pause that is over", func(s *story) { s.in.Pause = &Order{Until: epoch} }, ""},
		{"a pause without an end", func(s *story) { s.in.Pause = &Order{} }, Paused},
		{"a rule that observes", func(s *story) { s.r.Mode = Observe }, Observing},
		{"a pool that is configured dry", func(s *story) { s.in.DryRun = true }, DryRun},
		{"a provider that failed", func(s *story) { s.m.Ended(DirOut, "quota", epoch) }, ProviderBackoff},
		{"a provider that failed the other way", func(s *story) { s.m.Ended(DirIn, "quota", epoch) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: settled(4)}
			c.edit(&s)
			want := "scale_out 6 signal"
			if c.want != "" {
				want += " " + string(c.want)
			}
			s.at(0, grow, want)
			if acts := s.d.Acts(); acts != (c.want == "") || acts != (len(s.m.Resizes) == 1) {
				t.Errorf("acts %t, resizes %v", acts, s.m.Resizes)
			}
		})
	}
}

func TestAnOperatorsFloor(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(3), Floor: &Order{Size: 5, Until: epoch.Add(time.Hour)}}, m: settled(3)}
	s.at(0, each(epoch, times(3, 0.3)...), "scale_out 5 manual")
	s.in.Members = pool(5)
	s.at(900, each(epoch, times(5, 0.1)...), "keep 5 stabilising")
	s.at(1100, each(epoch, times(5, 0.1)...), "keep 5 stabilising")
	s.at(1201, each(epoch, times(5, 0.1)...), "keep 5 manual")
	s.in.Floor.Until = epoch
	s.at(1216, each(epoch, times(5, 0.1)...), "scale_in 4 signal")
}

func TestACrashLoopIsReplacedEverMoreSlowly(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: states(pool(4), epoch, Dead)}, m: settled(1)}
	last, waits := 0.0, []float64{}
	for at := 0.0; at < 60; at++ {
		now := epoch.Add(time.Duration(at) * time.Second)
		s.in.Answers, s.in.Terms = []Answer{each(now, 0.6, 0.6, 0.6)}, can
		s.d, s.m = Decide(s.r, s.in, s.m, now)
		if s.d.Acts() {
			waits = append(waits, at-last)
			last = at
		}
	}
	if got := fmt.Sprint(waits); got != "[0 1 2 4 8 16]" {
		t.Errorf("replaced after %s seconds, want 0 1 2 4 8 16", got)
	}
}

func TestMemoryStaysUnderFourKilobytes(t *testing.T) {
	m := Memory{Version: MemoryVersion, Judged: epoch}
	for i := range 10_000 {
		at := epoch.Add(time.Duration(i) * 17 * time.Millisecond)
		m.Highs = raise(m.Highs, Wish{at, 20_000 - i})
		m.Lows = lower(m.Lows, Wish{at, i})
		m.Resizes = mergeResizes(append(m.Resizes, Resize{at, 1}))
		m.Replaced = within10(append(m.Replaced, at), at)
	}
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("web-%d", i))
	}
	m.Expect(names, 0, epoch)
	for _, n := range names {
		m.Draining = append(m.Draining[:0], Drain{IDs: append(idsOf(m), MemberID("4012345"+n[4:])), Since: epoch})
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) >= 4<<10 {
		t.Errorf("memory is %d bytes", len(b))
	}
}

func idsOf(m Memory) []MemberID {
	if len(m.Draining) == 0 {
		return nil
	}
	return m.Draining[0].IDs
}

func TestMergedWishesStayCautious(t *testing.T) {
	var all, highs []Wish
	for i := range 500 {
		w := Wish{epoch.Add(time.Duration(i) * time.Second), 1000 - i - i%3}
		all, highs = append(all, w), raise(highs, w)
		for _, window := range []time.Duration{10 * time.Second, 100 * time.Second} {
			exact, got := 0, 0
			for _, w := range all {
				if all[len(all)-1].At.Sub(w.At) < window {
					exact = max(exact, w.Size)
				}
			}
			for _, w := range highs {
				if all[len(all)-1].At.Sub(w.At) < window {
					got = max(got, w.Size)
				}
			}
			if got < exact {
				t.Fatalf("after %d wishes the window of %s says %d, the truth is %d", i, window, got, exact)
			}
		}
	}
}

func TestPointsKeepWhatJSONHasNoWordFor(t *testing.T) {
	for _, v := range []float64{0, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300} {
		var got Point
		roundTrip(t, Point{Member: "web-1", Value: v}, &got)
		if got.Value != v && !(math.IsNaN(v) && math.IsNaN(got.Value)) || got.Member != "web-1" {
			t.Errorf("%v came back as %+v", v, got)
		}
	}
}
