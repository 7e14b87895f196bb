package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// kept marks the first members as never to be ended.
func kept(ms []Member, n int) []Member {
	for i := range n {
		ms[i].Kept = true
	}
	return ms
}

func TestAKeptMemberIsNeverReplaced(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []Member
		want    string
	}{
		{"it is sick for long", kept(states(pool(1), epoch.Add(-time.Hour), Unhealthy), 1), "keep 1 in_band []"},
		{"it boots for ever", kept(states(pool(1), epoch.Add(-time.Hour), Booting), 1), "keep 1 in_band []"},
		{"it is told dead", kept(states(pool(1), epoch.Add(-time.Hour), Dead), 1), "keep 1 in_band []"},
		{"another one is dead, too", kept(states(pool(2), epoch.Add(-time.Hour), Dead, Dead), 1), "replace 2 replace [web-2]"},
	} {
		r := cpu()
		r.Min = 1
		in := Inputs{Members: c.members, Terms: can, Answers: []Answer{each(epoch, times(len(c.members), 0.6)...)}}
		d, _ := Decide(r, in, settled(1), epoch)
		d.Reason = map[bool]Reason{true: InBand, false: d.Reason}[d.Verdict == Keep]
		if got := fmt.Sprintf("%s %d %s %v", d.Verdict, d.To, d.Reason, d.Victims); got != c.want {
			t.Errorf("%s: decided %s, want %s\n%s", c.name, got, c.want, show(d))
		}
	}
}

func TestAPoolIsNotShrunkBelowThoseThatAreKept(t *testing.T) {
	s := story{t: t, r: cpu(), in: Inputs{Members: kept(pool(4), 3)}, m: settled(1)}
	s.r.In.Limit.LargerOf = []Amount{{Members: 4}}
	s.at(0, each(epoch, times(4, 0.01)...), "scale_in 3 signal")
	if text := s.d.Explain(); !strings.Contains(text, "3 members are never ended") {
		t.Errorf("not told:\n%s", text)
	}
}

func TestARollLeavesOutThoseThatAreKept(t *testing.T) {
	s := newRollout(t)
	s.in.Members = kept(versions(pool(3), "", "v2", "v2"), 1)
	s.at(0, "keep 3 in_band")
	s.tells("done, 0 of 0 replaced by version v2")
	s = newRollout(t)
	s.in.Members = kept(s.in.Members, 1)
	s.at(0, "scale_out 4 rolling")
	s.grow("web-4", 0)
	s.list("web-4", "v2", Ready, 1)
	s.at(70, "scale_in 3 rolling web-2") // web-1 is older
}

// A provider that picks who ends would end others than the dead and the sick.
func TestWhereTheProviderPicksWhoEndsNobodyIsReplaced(t *testing.T) {
	members := states(pool(6), epoch.Add(-time.Hour), Dead, Unhealthy)
	in := Inputs{Members: members, Answers: []Answer{each(epoch, times(5, 0.6)...)}}
	if d, _ := Decide(cpu(), in, settled(1), epoch); d.Verdict != Keep || len(d.Victims) > 0 {
		t.Errorf("decided %s", d.Line())
	}
}

// The dead hold what new members could have: they go while there is no capacity.
func TestTheDeadGoWhileThereIsNoCapacity(t *testing.T) {
	m := settled(1)
	m.Lacked("422: quota", epoch.Add(-time.Minute))
	s := story{t: t, r: cpu(), in: Inputs{Members: states(pool(4), epoch, Dead)}, m: m.Clone()}
	s.at(0, each(epoch, 0.6, 0.6, 0.6), "replace 4 replace")
	if text := strings.Join(strings.Fields(s.d.Explain()), " "); !strings.Contains(text, "are replaced later; left alone until 10:04:00: 422: quota") {
		t.Errorf("not told:\n%s", text)
	}
	s.m.Withdraw(s.d.Victims, epoch) // as the plan does
	s.m.Owed = 1
	s.in.Members = pool(3)
	s.at(10, each(epoch, times(3, 0.6)...), "replace 4 replace provider_backoff")
	s.at(240, each(epoch, times(3, 0.6)...), "replace 4 replace")

	s = story{t: t, r: cpu(), in: Inputs{Members: states(pool(4), epoch.Add(-time.Hour), Unhealthy)}, m: m.Clone()}
	s.at(0, each(epoch, times(4, 0.6)...), "replace 4 replace provider_backoff") // it may still serve
}
