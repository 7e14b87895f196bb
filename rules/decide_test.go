package rules

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// cpu is a rule with every default and one signal that targets 60 %.
func cpu() Scale {
	return Scale{
		Pool: "web", Rule: "web.scale.yaml:2", Mode: Act, Min: 2, Max: 20,
		Signals: []Signal{{Name: "cpu", Scope: PerMember, Target: 0.6}},
		Out:     Pace{Limit: Limit{LargerOf: []Amount{{Percent: 100}, {Members: 4}}, Every: time.Minute}},
		In:      Pace{Window: 5 * time.Minute, Limit: Limit{LargerOf: []Amount{{Percent: 25}, {Members: 1}}, Every: 2 * time.Minute}},
		Warmup:  time.Minute, Missing: Missing{Coverage: 0.8, Stale: 15 * time.Second, Hold: 3 * time.Minute},
	}
}

// requests is cpu's rule with a signal whose load the members share, 14 each.
func requests() Scale {
	r := cpu()
	r.Signals = []Signal{{Name: "requests", Scope: PerMember, Share: 14}}
	return r
}

// latency is cpu's rule with a band over the whole pool.
func latency() Scale {
	r := cpu()
	r.Signals = []Signal{{
		Name: "p99", Scope: WholePool,
		Band: &Band{Above: 0.25, Add: Amount{Percent: 25}, Below: 0.08},
	}}
	return r
}

// pool is n members, ready for an hour.
func pool(n int) []Member {
	var ms []Member
	for i := range n {
		name := fmt.Sprintf("web-%d", i+1)
		ms = append(ms, Member{ID: MemberID(name), Name: name, State: Ready, Since: epoch.Add(-time.Hour)})
	}
	return ms
}

// states changes the last members' states, as of a time.
func states(ms []Member, since time.Time, ss ...State) []Member {
	for i, s := range ss {
		m := &ms[len(ms)-len(ss)+i]
		m.State, m.Since = s, since
	}
	return ms
}

// each answers with one point a member, all samples a second old.
func each(now time.Time, values ...float64) Answer {
	r := Reading{Seen: map[string]time.Time{}, Newest: now.Add(-time.Second)}
	for i, v := range values {
		name := fmt.Sprintf("web-%d", i+1)
		r.Points = append(r.Points, Point{Member: name, Value: v})
		r.Seen[name] = now.Add(-time.Second)
	}
	return Answer{Reading: r}
}

// folded answers with one value over the raw samples of n members.
func folded(now time.Time, n int, v float64) Answer {
	a := each(now, make([]float64, n)...)
	a.Reading.Points = []Point{{Value: v}}
	return a
}

// times repeats a value.
func times(n int, v float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// settled is a memory whose in window has seen nothing but the given size.
func settled(size int) Memory {
	return Memory{Version: MemoryVersion, Judged: epoch.Add(-time.Second), Highs: []Wish{{epoch.Add(-time.Second), size}}}
}

var can = Terms{Names: true, Victims: true}

func TestDecideOneSignal(t *testing.T) {
	old := epoch.Add(-time.Minute)
	long := epoch.Add(-time.Hour)
	cases := []struct {
		name    string
		rule    Scale
		members []Member
		answer  Answer
		memory  Memory
		want    string // verdict, size, reason
		because string // part of the signal's arithmetic
	}{
		{"a load above the target grows the pool", cpu(), pool(4), each(epoch, times(4, 0.98)...), settled(1), "scale_out 7 signal", "4 x 0.98 / 0.60 = 6.53"},
		{"a quarter member above is within tolerance", cpu(), pool(4), each(epoch, times(4, 0.637)...), settled(1), "keep 4 in_band", "4.25"},
		{"just above a quarter member grows by one", cpu(), pool(4), each(epoch, times(4, 0.64)...), settled(1), "scale_out 5 signal", ""},
		{"one member too many is within tolerance", cpu(), pool(4), each(epoch, times(4, 0.45)...), settled(1), "keep 4 in_band", "= 3"},
		{"more than one too many shrinks", cpu(), pool(4), each(epoch, times(4, 0.44)...), settled(1), "scale_in 3 signal", "2.93"},
		{"large pools tolerate two percent", cpu(), pool(19), each(epoch, times(19, 0.6*19.3/19)...), settled(1), "keep 19 in_band", ""},
		{"a shared load wants its share", requests(), pool(3), each(epoch, 17, 17, 16.5), settled(1), "scale_out 4 signal", "50.5/14 = 3.61"},
		{"a folded sum is a shared load", requests(), pool(3), folded(epoch, 3, 50.5), settled(1), "scale_out 4 signal", "50.5/14 = 3.61"},
		{"a folded mean counts who was heard", cpu(), pool(4), folded(epoch, 4, 0.98), settled(1), "scale_out 7 signal", "4 x 0.98 / 0.60 = 6.53"},

		{"no answer keeps", cpu(), pool(4), Answer{Err: "no data"}, settled(1), "keep 4 missing_data", "no data"},
		{"half of the members silent keeps a low load", cpu(), pool(4), each(epoch, 0.1, 0.1), settled(1), "keep 4 low_coverage", "2 of 4"},
		{"half silent under avg keeps", cpu(), pool(4), folded(epoch, 2, 0.1), settled(1), "keep 4 low_coverage", ""},
		{"half silent under sum keeps", requests(), pool(4), folded(epoch, 2, 5), settled(1), "keep 4 low_coverage", ""},
		{"half silent still grows on what is heard", cpu(), pool(4), each(epoch, 1.8, 1.8), settled(1), "scale_out 6 signal", ""},
		{"an old sample under a fold keeps", cpu(), pool(4), stale(folded(epoch, 4, 0.1)), settled(1), "keep 4 stale_data", "old"},
		{"one silent of six counts as fully loaded", cpu(), pool(6), each(epoch, times(5, 0.3)...), settled(1), "scale_in 5 signal", "as loaded count 1 not heard"},
		{"fresh NaN is idle, and idle goes to the minimum", cpu(), pool(3), each(epoch, times(3, math.NaN())...), settled(1), "scale_in 2 idle", "not a number"},
		{"half NaN of half the members is low coverage", cpu(), pool(4), each(epoch, times(2, math.NaN())...), settled(1), "keep 4 low_coverage", ""},
		{"an infinite load grows as far as the limits let it", cpu(), pool(4), each(epoch, times(4, math.Inf(1))...), settled(1), "scale_out 8 signal", ""},
		{"a partial answer bars scale-in", cpu(), pool(4), partial(each(epoch, times(4, 0.1)...)), settled(1), "keep 4 low_coverage", "one shard"},

		{"capacity that boots counts once", cpu(), states(pool(7), old, Booting, Booting, Booting), each(epoch, times(4, 0.98)...), settled(1), "keep 7 in_band", "= 6.53"},
		{"booting members count as loaded against scale-in", cpu(), states(pool(6), old, Booting, Booting), each(epoch, times(4, 0.3)...), settled(1), "scale_in 5 signal", ""},
		{"the spike of a start is no load", cpu(), states(pool(4), epoch.Add(-time.Second), Ready, Ready), each(epoch, 0.5, 0.5, 3, 3), settled(1), "keep 4 in_band", ""},
		{"draining members' load stays in the sum", requests(), states(pool(4), old, Draining), each(epoch, 15, 15, 15, 15), draining(settled(1), "web-4"), "scale_out 5 signal", "60/14"},
		{"an unhealthy member counts as loaded", cpu(), states(pool(4), old.Add(30*time.Second), Unhealthy), each(epoch, 0.3, 0.3, 0.3), settled(1), "scale_in 3 signal", ""},

		{"the floor comes at once", cpu(), pool(1), Answer{Err: "no data"}, Memory{}, "scale_out 2 at_min", ""},
		{"an empty pool grows to its floor", cpu(), nil, Answer{Err: "no data"}, Memory{}, "scale_out 2 at_min", ""},
		{"the ceiling holds", cpu(), pool(20), each(epoch, times(20, 1)...), settled(1), "keep 20 at_max", ""},
		{"an adopted pool does not shrink for one window", cpu(), pool(6), each(epoch, times(6, 0.1)...), Memory{}, "keep 6 stabilising", ""},
		{"a memory older than the window is not trusted", cpu(), pool(6), each(epoch, times(6, 0.1)...), Memory{Version: MemoryVersion, Judged: old.Add(-time.Hour)}, "keep 6 stabilising", ""},
		{"scale-in is limited to a quarter", cpu(), pool(12), each(epoch, times(12, 0.1)...), settled(1), "scale_in 9 signal", ""},
		{"scale-out is limited to twice the size", cpu(), pool(6), each(epoch, times(6, 3)...), settled(1), "scale_out 12 signal", ""},

		{"the dead are replaced", cpu(), states(pool(4), old, Dead), each(epoch, times(3, 0.6)...), settled(1), "replace 4 replace", ""},
		{"a member sick for a warm-up is replaced", cpu(), states(pool(4), old, Unhealthy), each(epoch, times(3, 0.6)...), settled(1), "replace 4 replace", ""},
		{"many sick at once are left alone", cpu(), states(pool(4), old, Unhealthy, Unhealthy), each(epoch, times(4, 0.6)...), settled(1), "keep 4 correlated_unhealthy", ""},
		{"many sick at once bar scale-in", cpu(), states(pool(4), long, Unhealthy, Unhealthy), each(epoch, times(4, 0.01)...), settled(1), "keep 4 correlated_unhealthy", ""},
		{"all sick at once are left alone", cpu(), states(pool(4), long, Unhealthy, Unhealthy, Unhealthy, Unhealthy), each(epoch, times(4, 0.6)...), settled(1), "keep 4 correlated_unhealthy", ""},
		{"two that fell sick an hour apart are no correlation", cpu(), append(states(pool(3), long, Unhealthy), Member{ID: "x", Name: "x", State: Unhealthy, Since: old}), each(epoch, 0.6, 0.6, 0.6), settled(1), "replace 4 replace", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, m := Decide(c.rule, Inputs{Members: c.members, Terms: can, Answers: []Answer{c.answer}}, c.memory, epoch)
			if got := fmt.Sprintf("%s %d %s", d.Verdict, d.To, d.Reason); got != c.want {
				t.Errorf("decided %s, want %s\n%s", got, c.want, show(d))
			}
			if !strings.Contains(d.Signals[0].Because, c.because) {
				t.Errorf("because %q lacks %q", d.Signals[0].Because, c.because)
			}
			checkRound(t, c.rule, Inputs{Members: c.members, Terms: can, Answers: []Answer{c.answer}}, c.memory, d, m)
		})
	}
}

// checkRound decides again from inputs and memory that went through JSON, as a
// replay does: the decision must be the same to the bit.
func checkRound(t *testing.T, r Scale, in Inputs, m Memory, d Decision, after Memory) {
	t.Helper()
	var in2 Inputs
	var m2 Memory
	roundTrip(t, in, &in2)
	roundTrip(t, m, &m2)
	d2, after2 := Decide(r, in2, m2, d.At)
	if diff := cmp.Diff(show(d), show(d2)); diff != "" {
		t.Errorf("the replay decides otherwise:\n%s", diff)
	}
	if diff := cmp.Diff(show(after), show(after2)); diff != "" {
		t.Errorf("the replay remembers otherwise:\n%s", diff)
	}
}

func roundTrip(t *testing.T, from, to any) {
	t.Helper()
	b, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatal(err)
	}
}

func show(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func stale(a Answer) Answer {
	for m := range a.Reading.Seen {
		a.Reading.Seen[m] = epoch.Add(-2 * time.Minute)
	}
	a.Reading.Newest = epoch.Add(-2 * time.Minute)
	return a
}

func partial(a Answer) Answer {
	a.Reading.Partial = "one shard of five did not answer"
	return a
}

func draining(m Memory, ids ...MemberID) Memory {
	m.Withdraw(ids, epoch.Add(-time.Second))
	return m
}
