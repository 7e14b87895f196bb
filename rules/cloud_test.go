package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A list that halves by itself is no reason to buy, and none to end anybody
// (cluster-autoscaler #446).
func TestWhileThereIsDriftNothingIsBoughtAndNothingIsEnded(t *testing.T) {
	order := func(at time.Time) *Order { return &Order{Size: 6, At: at} }
	for _, c := range []struct {
		name    string
		members []Member
		load    float64
		floor   *Order
		want    string
	}{
		{"a list that halved buys nothing", pool(4), 0.98, nil, "keep 4 drift"},
		{"an empty list does not even buy min", nil, 0, nil, "keep 0 drift"},
		{"an idle pool ends nobody", pool(8), 0.05, nil, "keep 8 drift"},
		{"the dead are not replaced", states(pool(4), epoch.Add(-time.Minute), Dead), 0.6, nil, "replace 4 replace drift"},
		{"a floor from before it buys nothing", pool(4), 0.6, order(epoch.Add(-time.Hour)), "keep 4 drift"},
		{"a floor ordered since buys up to it", pool(4), 3, order(epoch), "scale_out 6 manual"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Inputs{Members: c.members, Terms: can, Floor: c.floor, Answers: []Answer{each(epoch, times(len(c.members), c.load)...)}}
			in.Terms.Drift = "4 of 8 Droplets are gone, and not by us"
			m := settled(1)
			m.Drifted = epoch.Add(-time.Minute)
			d, after := Decide(cpu(), in, m, epoch)
			if got := strings.TrimSpace(fmt.Sprintf("%s %d %s %s", d.Verdict, d.To, d.Reason, d.Refused)); got != c.want {
				t.Errorf("decided %s, want %s\n%s", got, c.want, show(d))
			}
			if text := d.Explain(); !strings.Contains(text, "4 of 8 Droplets are gone, and not by us") {
				t.Errorf("the drift is not told:\n%s", text)
			}
			checkRound(t, cpu(), in, m, d, after)
		})
	}
}

func TestDriftThatIsOverIsForgotten(t *testing.T) {
	in := Inputs{Members: pool(4), Terms: can, Answers: []Answer{each(epoch, times(4, 0.98)...)}}
	in.Terms.Drift = "half is missing"
	m := draining(settled(1), "web-9")
	_, m = Decide(cpu(), in, m, epoch)
	if since, ok := m.DrainingSince("web-9"); !ok || m.Drifted.IsZero() {
		t.Errorf("one that is not listed for a moment is taken for gone: %v, drift since %v", since, m.Drifted)
	}
	in.Terms.Drift = ""
	d, m := Decide(cpu(), in, m, epoch.Add(time.Second))
	if _, ok := m.DrainingSince("web-9"); ok || !m.Drifted.IsZero() || d.Verdict != ScaleOut {
		t.Errorf("decided %s, drift since %v, draining %v", d.Line(), m.Drifted, m.Draining)
	}
}

func TestALackOfCapacityWaitsForMinutesAndEverLonger(t *testing.T) {
	var m Memory
	at := func(minutes float64) time.Time { return epoch.Add(time.Duration(minutes * float64(time.Minute))) }
	for _, c := range []struct {
		fails float64 // minutes after the epoch
		until float64
	}{
		{0, 5},
		{0.1, 5}, // at once with the one before
		{4.9, 5},
		{5, 15},
		{15, 35},
		{36, 66},
		{70, 100},
		{249, 279}, // 2 h 59 min after
		{429, 434}, // three hours after: forgotten
	} {
		m.settle(nil, Terms{}, at(c.fails))
		m.Lacked("422: it will exceed your droplet limit", at(c.fails))
		if got := m.Failed[capacity].Until; !got.Equal(at(c.until)) {
			t.Errorf("failed at %v min, left alone until %s, want %s", c.fails, clock(got), clock(at(c.until)))
		}
	}
}

// Google accepts growth, and finds a minute later that a zone is sold out.
func TestALackOfCapacityIsOverWhenANewMemberIsReadyAndNotWhenGrowthIsAccepted(t *testing.T) {
	var m Memory
	at := func(minutes float64) time.Time { return epoch.Add(time.Duration(minutes * float64(time.Minute))) }
	until := func(want float64) {
		t.Helper()
		if got := m.Failed[capacity].Until; !got.Equal(at(want)) {
			t.Errorf("left alone until %s, want %s", clock(got), clock(at(want)))
		}
	}
	m.Lacked("sold out", epoch)
	until(5)
	for _, x := range []Member{
		{ID: "1", Name: "web-1", State: Ready, Born: at(0.1)}, // a part of what was asked for came
		{ID: "2", Name: "web-2", State: Booting, Born: at(5.1)},
	} {
		m.Ended(DirOut, "", at(5.1))
		m.settle([]Member{x}, Terms{Names: true}, at(5.2))
	}
	m.Lacked("sold out", at(6))
	until(16)
	m.settle([]Member{{ID: "3", Name: "web-3", State: Ready, Born: at(16.1)}}, Terms{Names: true}, at(17))
	if len(m.Failed) > 0 {
		t.Errorf("a member came, and still %+v", m.Failed)
	}
	m.Lacked("sold out", at(20))
	until(25)
}

func TestALackOfCapacityHoldsUpGrowthOnlyAndSaysItInTheProvidersWords(t *testing.T) {
	m := settled(1)
	m.Lacked("make web-5: 422: it will exceed your droplet limit", epoch.Add(-time.Minute))
	s := story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: m}
	s.at(0, each(epoch, times(4, 0.98)...), "scale_out 7 signal provider_backoff")
	for _, text := range []string{s.d.Line(), strings.Join(strings.Fields(s.d.Explain()), " ")} {
		if !strings.Contains(text, "until 10:04:00: make web-5: 422: it will exceed your droplet limit") {
			t.Errorf("not in the provider's words: %s", text)
		}
	}
	s.at(1, each(epoch, times(4, 3)...), "scale_out 8 signal provider_backoff") // another wish does not hammer
	s.at(239, each(epoch, times(4, 0.98)...), "scale_out 7 signal provider_backoff")
	s.at(240, each(epoch, times(4, 0.98)...), "scale_out 7 signal")
	s = story{t: t, r: cpu(), in: Inputs{Members: pool(4)}, m: m.Clone()}
	s.at(0, each(epoch, times(4, 0.1)...), "scale_in 3 signal")
}

func TestMembersWhoseMakingFailedAreWaitedForAsLongAsListsLag(t *testing.T) {
	for lag, want := range map[int]time.Duration{0: doubtTime, 10: doubtTime, 40: 40 * time.Second} {
		var m Memory
		t0 := Terms{Names: true, Lag: lag}
		m.Expect([]string{"web-1"}, 0, epoch)
		m.Doubt([]string{"web-1"}, false, nil, t0, epoch)
		if m.settle(nil, t0, epoch.Add(want-time.Second)); m.expected() != 1 {
			t.Errorf("lists lag %d s: it is not waited for before %s", lag, want)
		}
		if m.settle(nil, t0, epoch.Add(want)); m.expected() != 0 {
			t.Errorf("lists lag %d s: it is waited for after %s", lag, want)
		}
	}
}

// A probe that asks too much must not churn through machines.
func TestReplacementsForHealthAreLimitedPerHour(t *testing.T) {
	s := story{t: t, r: cpu(), m: settled(1)}
	var at []string
	for sec := 0; sec < 7200; sec += 30 {
		now := epoch.Add(time.Duration(sec) * time.Second)
		s.in.Members = states(pool(8), now.Add(-2*time.Minute), Unhealthy) // each new one falls sick, too
		s.in.Answers, s.in.Terms = []Answer{each(now, times(7, 0.6)...)}, can
		d, m := Decide(s.r, s.in, s.m, now)
		checkRound(t, s.r, s.in, s.m, d, m)
		s.d, s.m = d, m
		if d.Acts() {
			at = append(at, clock(now))
		} else if sec == 1800 && (d.Refused != RateLimited || !strings.Contains(d.Line(), "2 of 8 members were replaced for their health within the hour; the next one after 11:00:00")) {
			t.Errorf("held back without a word: %s", d.Line())
		}
	}
	if got := fmt.Sprint(at); got != "[10:00:00 10:01:00 11:00:00 11:01:00]" {
		t.Errorf("replaced at %s", got)
	}
	s.in.Members = states(pool(8), epoch.Add(2*time.Hour), Dead)
	s.at(7200, each(epoch, times(7, 0.6)...), "replace 8 replace") // the dead serve nobody
	for size, most := range map[int]int{1: 2, 8: 2, 12: 3, 39: 9, 400: 10} {
		if got := mostHealed(size); got != most {
			t.Errorf("%d an hour of %d members, want %d", got, size, most)
		}
	}
}

// A provider that takes no names names them as it likes.
func TestMembersWithoutOurNamesAreCountedIn(t *testing.T) {
	var m Memory
	m.Roll = &Roll{Surge: "web-3"}
	no := Terms{}
	m.Expect([]string{"web-1", "web-2", "web-3"}, 5, epoch)
	m.Expect([]string{"web-4"}, 6, epoch)
	list := func(n int) []Member {
		ms := pool(n)
		for i := range ms {
			ms[i].Name, ms[i].Born = fmt.Sprint("node-", i), epoch.Add(time.Duration(i)*time.Second)
		}
		return ms
	}
	for _, c := range []struct{ listed, coming int }{{2, 4}, {3, 3}, {5, 1}, {5, 1}, {6, 0}} {
		m.settle(list(c.listed), no, epoch)
		if got := m.expected(); got != c.coming {
			t.Errorf("%d are listed: %d are on their way, want %d", c.listed, got, c.coming)
		}
	}
	if m.Roll.Surge != "node-4" {
		t.Errorf("the surge is %s, want the youngest of the five", m.Roll.Surge)
	}
	m.Expect([]string{"web-5", "web-6"}, 8, epoch)
	m.Removed(1) // its size is 7 then
	leaving := append(list(7), Member{Name: "node-9", State: Leaving})
	if m.settle(leaving, no, epoch); m.expected() != 0 {
		t.Errorf("%d are on their way", m.expected())
	}
}

func TestAdviceIsToldAndNotFollowed(t *testing.T) {
	in := Inputs{Members: pool(4), Terms: can, Answers: []Answer{each(epoch, times(4, 0.6)...)}}
	in.Terms.Advice = 9
	d, _ := Decide(cpu(), in, settled(4), epoch)
	if d.Verdict != Keep || !strings.Contains(d.Explain(), "the provider would have 9 members") {
		t.Error(d.Explain())
	}
	// as of a group whose own autoscaler keeps 3 where Flyball wants fewer
	in = Inputs{Members: pool(4), Terms: Terms{Advice: 3}, Answers: []Answer{each(epoch, times(4, 0.01)...)}}
	d, _ = Decide(cpu(), in, settled(1), epoch)
	for _, text := range []string{"IN 4→3", "the provider would have 3 members", "no_drain"} {
		if !strings.Contains(d.Explain(), text) {
			t.Errorf("%s is not told:\n%s", text, d.Explain())
		}
	}
}

func TestClocksThatStartAndStopAreToldApart(t *testing.T) {
	base := func() Memory {
		return Memory{Above: map[string]time.Time{"busy": epoch}, Roll: &Roll{At: epoch, Version: "v2"}}
	}
	for name, change := range map[string]func(*Memory){
		"a hold starts":  func(m *Memory) { m.Above["other"] = epoch },
		"a hold is anew": func(m *Memory) { m.Above["busy"] = epoch.Add(1) },
		"a hold stops":   func(m *Memory) { m.Above = nil },
		"drift":          func(m *Memory) { m.Drifted = epoch },
		"no roll":        func(m *Memory) { m.Roll = nil },
		"a roll ends":    func(m *Memory) { m.Roll.Ended = epoch },
		"it gets worse":  func(m *Memory) { m.Roll.Worse = epoch },
		"one is sick":    func(m *Memory) { m.Roll.Sick = slices.Concat(m.Roll.Sick, []string{"web-4"}) },
	} {
		m := base()
		change(&m)
		if m.SameClocks(base()) || base().SameClocks(m) {
			t.Errorf("%s: not seen", name)
		}
	}
	if !base().SameClocks(base()) {
		t.Error("the same is not the same")
	}
}
