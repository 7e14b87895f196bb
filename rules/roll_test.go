package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// versions gives members their versions, one a member; "" is v1.
func versions(ms []Member, vs ...string) []Member {
	for i := range ms {
		ms[i].Version, ms[i].Born = "v1", epoch.Add(-time.Hour+time.Duration(i)*time.Minute)
		if i < len(vs) && vs[i] != "" {
			ms[i].Version = vs[i]
		}
	}
	return ms
}

// A rollout judges a pool of three that is rolled to v2.
type rollout struct {
	t  *testing.T
	r  Scale
	in Inputs
	m  Memory
	d  Decision
}

func newRollout(t *testing.T) *rollout {
	terms := can
	terms.Version = "v2"
	r := requests()
	r.Max = 3
	return &rollout{t: t, r: r, m: settled(3), in: Inputs{
		Members: versions(pool(3)), Terms: terms, Roll: &Order{By: "alice", At: epoch},
	}}
}

// at judges as of seconds after the epoch and compares verdict, size, reason, victims.
func (s *rollout) at(seconds int, want string) {
	s.t.Helper()
	now := epoch.Add(time.Duration(seconds) * time.Second)
	s.answer(now)
	d, m := Decide(s.r, s.in, s.m, now)
	checkRound(s.t, s.r, s.in, s.m, d, m)
	s.d, s.m = d, m
	got := strings.TrimSpace(fmt.Sprintf("%s %d %s %s", d.Verdict, d.To, d.Reason, victims(d.Victims)))
	if d.Refused != "" {
		got += " " + string(d.Refused)
	}
	if got != want {
		s.t.Errorf("at %ds decided %q, want %q\n%s", seconds, got, want, show(d))
	}
}

// answer gives the members a load of 42 between them.
func (s *rollout) answer(now time.Time) {
	if s.in.Answers == nil {
		s.in.Answers = []Answer{{}}
	}
	a := Answer{Reading: Reading{Seen: map[string]time.Time{}, Newest: now}}
	for _, m := range s.in.Members {
		a.Reading.Points = append(a.Reading.Points, Point{Member: m.Name, Value: 42 / float64(len(s.in.Members))})
		a.Reading.Seen[m.Name] = now
	}
	s.in.Answers[0] = a
}

// grow obeys: the member is asked for, as the plan does.
func (s *rollout) grow(name string, seconds int) {
	s.m.SurgeOf(name)
	s.m.Expect([]string{name}, 0, epoch.Add(time.Duration(seconds)*time.Second))
}

// list adds a member of a version in a state as of seconds.
func (s *rollout) list(name, version string, state State, seconds int) {
	at := epoch.Add(time.Duration(seconds) * time.Second)
	for i, m := range s.in.Members {
		if m.Name == name {
			s.in.Members[i].State, s.in.Members[i].Since = state, at
			return
		}
	}
	s.in.Members = append(s.in.Members, Member{ID: MemberID(name), Name: name, Version: version, State: state, Since: at, Born: at})
}

// gone takes a member off the list.
func (s *rollout) gone(name string) {
	var left []Member
	for _, m := range s.in.Members {
		if m.Name != name {
			left = append(left, m)
		}
	}
	s.in.Members = left
}

func (s *rollout) tells(want string) {
	s.t.Helper()
	if s.d.Roll == nil || !strings.Contains(s.d.Roll.String(), want) {
		s.t.Errorf("the roll tells %v, want %q", s.d.Roll, want)
	}
}

func TestARollReplacesOneMemberAtATimeBySurge(t *testing.T) {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	s.tells("0 of 3 replaced by version v2; makes one of the new version")
	s.grow("web-4", 0)
	s.at(1, "keep 4 in_band")
	s.list("web-4", "v2", Booting, 2)
	s.at(5, "keep 4 in_band")
	s.tells("waits: web-4 is booting")
	s.list("web-4", "v2", Ready, 20)
	s.at(30, "keep 4 in_band")
	s.tells("waits: web-4 is warming up")
	s.at(80, "scale_in 3 rolling web-1")
	s.tells("replaces web-1 by web-4")
	s.m.Withdraw([]MemberID{"web-1"}, epoch)
	s.at(81, "keep 3 in_band")
	s.tells("1 of 3 replaced by version v2; waits: web-1 is leaving")
	if len(s.m.Resizes) > 0 {
		t.Errorf("a roll counts against the rate: %v", s.m.Resizes)
	}
	s.gone("web-1")
	s.at(90, "scale_out 4 rolling")
	s.grow("web-5", 90)
	s.list("web-5", "v2", Ready, 100)
	s.at(170, "scale_in 3 rolling web-2")
	s.gone("web-2")
	s.at(180, "scale_out 4 rolling")
	s.grow("web-6", 180)
	s.list("web-6", "v2", Ready, 190)
	s.at(260, "scale_in 3 rolling web-3")
	s.gone("web-3")
	s.at(270, "keep 3 in_band")
	s.tells("done, 3 of 3 replaced by version v2")
	s.in.Roll = nil
	s.at(280, "keep 3 in_band")
	s.tells("done, 3 of 3")
	s.at(270+24*3600, "keep 3 in_band")
	if s.d.Roll != nil || s.m.Roll != nil {
		t.Errorf("a day later it is still told: %v", s.d.Roll)
	}
}

// surged is a roll whose first new member is ready since a time.
func surged(t *testing.T, since int) *rollout {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	s.grow("web-4", 0)
	s.list("web-4", "v2", Ready, since)
	return s
}

func TestARollStopsByItselfAndTakesItsSurgeBack(t *testing.T) {
	sick := func(s *rollout) {
		s.list("web-1", "v1", Unhealthy, 90)
		s.list("web-2", "v1", Unhealthy, 90)
	}
	hold := func(s *rollout) {
		s.r.Holds = []Hold{{Name: "busy", Above: 0.9, Forbid: DirOut}}
		s.in.Holds = []Answer{folded(epoch.Add(time.Hour), 1, 5)}
	}
	worse := func(s *rollout) {
		s.r.Signals = append(s.r.Signals, Signal{Name: "errors", Scope: PerMember, Band: &Band{Above: 0.01, Below: 0.001, Add: Amount{Members: 1}}})
		s.in.Answers = append(s.in.Answers, each(epoch.Add(100*time.Second), times(3, 0.5)...))
		s.m.Roll.Worse = epoch.Add(30 * time.Second)
	}
	for _, c := range []struct {
		name string
		edit func(*rollout)
		want string
		why  string
	}{
		{"many are sick at once", sick, "keep 4 roll_stopped", "many members turned unhealthy at once"},
		{"a hold bars growth", hold, "scale_in 3 roll_stopped web-4", "the hold busy forbids growth"},
		{"errors rise", worse, "keep 4 roll_stopped", "errors got worse since it began"},
		{"the new member is not of the new version", func(s *rollout) { s.in.Members[3].Version = "v0" }, "scale_in 3 roll_stopped web-4", "web-4 is of version v0, not v2"},
		{"an operator takes the order back", func(s *rollout) { s.in.Roll = nil }, "scale_in 3 roll_stopped web-4", "stopped by an order"},
		{"the provider takes no victims", func(s *rollout) { s.in.Terms.Victims = false }, "keep 4 roll_stopped", "does not take the members to remove"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := surged(t, 20)
			s.at(30, "keep 4 in_band")
			c.edit(s)
			s.at(100, c.want)
			s.tells("stopped, 0 of 3 replaced by version v2: ")
			s.tells(c.why)
		})
	}
}

func TestTwoSickMembersOfTheNewVersionStopARoll(t *testing.T) {
	s := surged(t, 20)
	s.in.Members = append(s.in.Members, versions(pool(9))[4:]...)
	s.r.Max, s.r.Signals[0].Share = 20, 42.0/8
	s.list("web-4", "v2", Unhealthy, 30)
	s.at(31, "keep 9 in_band")
	s.tells("waits: web-4 is unhealthy")
	s.at(91, "scale_in 8 rolling web-4")
	s.m.Withdraw([]MemberID{"web-4"}, epoch)
	s.gone("web-4")
	s.at(95, "scale_out 9 rolling")
	s.grow("web-10", 95)
	s.list("web-10", "v2", Dead, 96)
	s.at(97, "scale_in 8 roll_stopped web-10")
	s.tells("web-4 and web-10 of the new version turned unhealthy")
}

func TestARollStopsWhenNobodyBecomesReady(t *testing.T) {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	s.grow("web-4", 0)
	s.list("web-4", "v2", Booting, 1)
	s.at(890, "keep 4 in_band")
	s.at(901, "scale_in 3 roll_stopped web-4")
	s.tells("no new member became ready within 15m0s")
}

func TestARollWaits(t *testing.T) {
	two := 2
	for _, c := range []struct {
		name string
		edit func(*rollout)
		want string
		text string
	}{
		{"while its list is not believed", func(s *rollout) { s.in.Terms.Drift = "half is missing" }, "keep 4 drift", "waits: drift"},
		{"while the template is not known", func(s *rollout) { s.in.Terms.Version = "" }, "keep 4 in_band", "does not tell its template"},
		{"while the balancer cannot be asked", func(s *rollout) { s.in.Blind = true }, "keep 4 in_band", "the balancer cannot be asked"},
		{"until the new one gets requests", func(s *rollout) { s.in.Members[0].Open = &two }, "keep 4 in_band", "web-4 gets no requests yet"},
		{"while a hold forbids removing", func(s *rollout) {
			s.r.Holds = []Hold{{Name: "backup", Above: 0.9, Forbid: DirIn}}
			s.in.Holds = []Answer{folded(epoch.Add(time.Hour), 1, 5)}
		}, "keep 4 in_band", "the hold backup forbids removing"},
		{"while a hold is not known", func(s *rollout) {
			s.r.Holds = []Hold{{Name: "backup", Above: 0.9, Forbid: DirIn}}
			s.in.Holds = []Answer{{Err: "no data"}}
		}, "keep 4 hold", "waits: backup, hold"},
		{"while another member is replaced", func(s *rollout) { s.list("web-2", "v1", Dead, 90) }, "replace 4 replace web-2", "a member is to be replaced"},
		{"while the pool grows", func(s *rollout) { s.r.Signals[0].Share = 7; s.r.Max = 9 }, "scale_out 7 signal", "the pool is to be resized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := surged(t, 20)
			s.at(30, "keep 4 in_band")
			c.edit(s)
			s.at(100, c.want)
			s.tells(c.text)
		})
	}
}

func TestARollThatCannotMakeOneMoreSaysWhy(t *testing.T) {
	s := newRollout(t)
	s.in.Terms.Most = 3
	s.at(0, "keep 3 roll_stopped")
	s.tells("stopped, 0 of 3 replaced by version v2: the provider gives no more than 3 members")
	s = newRollout(t)
	s.m.Lacked(errors.New("422: droplet limit").Error(), epoch)
	s.at(1, "scale_out 4 rolling provider_backoff")
	if !strings.Contains(s.d.Line(), "422: droplet limit") {
		t.Error(s.d.Line())
	}
	s = newRollout(t)
	s.in.Pause = &Order{}
	s.at(0, "scale_out 4 rolling paused")
	if !s.m.Roll.Since.IsZero() {
		t.Error("the clock of a paused roll runs")
	}
}

func TestAnotherVersionWhileARollIsUnderWayIsRolledOutInstead(t *testing.T) {
	s := surged(t, 20)
	s.in.Terms.Version = "v3"
	s.at(100, "scale_in 3 rolling web-4")
	s.m.Withdraw([]MemberID{"web-4"}, epoch)
	s.gone("web-4")
	s.at(101, "scale_out 4 rolling")
	s.tells("0 of 3 replaced by version v3")
}
