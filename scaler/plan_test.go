package scaler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// crew reads members from words such as web-1:ready, web-2:draining:3 (open
// requests) and web-3:leaving; each was born a minute after the one before and
// has been in its state for a minute.
func crew(words string) []rules.Member {
	var ms []rules.Member
	for i, w := range strings.Fields(words) {
		p := strings.Split(w, ":")
		m := rules.Member{
			ID: rules.MemberID(p[0]), Name: p[0], State: rules.State(p[1]),
			Since: noon.Add(-time.Minute), Born: noon.Add(time.Duration(i)*time.Minute - time.Hour),
		}
		if len(p) > 2 {
			var n int
			fmt.Sscan(p[2], &n)
			m.Open = &n
		}
		ms = append(ms, m)
	}
	return ms
}

func TestPlan(t *testing.T) {
	out := func(size, to int) rules.Decision {
		return rules.Decision{Pool: "web", Verdict: rules.ScaleOut, Size: size, To: to}
	}
	in := func(size, to int) rules.Decision {
		return rules.Decision{Pool: "web", Verdict: rules.ScaleIn, Size: size, To: to}
	}
	keep := rules.Decision{Pool: "web", Verdict: rules.Keep, Size: 2, To: 2}
	refused := out(2, 3)
	refused.Refused = rules.Observing
	swap := rules.Decision{Pool: "web", Verdict: rules.Replace, Size: 2, To: 2, Victims: []rules.MemberID{"web-1"}}
	busy := func(s *situation) { s.steady = false }
	cases := []struct {
		name    string
		d       rules.Decision
		members string
		edit    func(*situation)
		want    string
	}{
		{"growth names new members", out(2, 4), "web-1:ready:0 web-2:ready:0", nil, "grow web-3 web-4"},
		{"a number is not used again", out(1, 2), "web-7:ready:0", nil, "grow web-8"},
		{"growth takes back who drains before it buys", out(1, 3), "web-1:ready:0 web-2:draining:3", nil, "grow web-3 / web-2"},
		{"growth is done if taking back suffices", out(1, 2), "web-1:ready:0 web-2:draining:3", nil, "admit / web-2"},
		{"growth goes before a drained member's end", out(1, 2), "web-1:ready:0 web-2:leaving:0", nil, "grow web-3"},
		{"shrinking takes the oldest", in(3, 2), "web-1:ready:0 web-2:ready:0 web-3:ready:0", nil, "withdraw / web-1"},
		{"shrinking takes the dead, then the sick, then who boots", in(5, 2), "web-1:ready:0 web-2:booting web-3:unhealthy:0 web-4:dead web-5:ready:0", nil, "withdraw / web-4 web-3 web-2"},
		{"a replacement is one step", swap, "web-1:dead web-2:ready:0", nil, "replace web-3 / web-1"},
		{"a drained member is ended", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:0", nil, "remove / web-3"},
		{"a draining member with open requests waits", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:1", nil, " "},
		{"its time over, it is ended all the same", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:1", func(s *situation) { s.drain = time.Minute }, "remove / web-3"},
		{"unknown open requests wait for the time to be over", keep, "web-1:ready:0 web-2:ready:0 web-3:draining", nil, " "},
		{"a member that is slow to leave is asked again", keep, "web-1:ready:0 web-2:ready:0 web-3:leaving:0", nil, "remove / web-3"},
		{"a ready member that gets no requests is let in", keep, "web-1:ready:0 web-2:ready", nil, "admit / web-2"},
		{"a booting member is not let in", keep, "web-1:ready:0 web-2:booting", nil, " "},
		{"after a start all are let in", keep, "web-1:ready:0 web-2:ready:0", func(s *situation) { s.met = nil }, "admit / web-1 web-2"},
		{"one that became ready later, too", keep, "web-1:ready:0 web-2:ready:0", func(s *situation) { delete(s.met, "web-2") }, "admit / web-2"},
		{"nobody is let in while the traffic cannot be asked", keep, "web-1:ready web-2:ready", func(s *situation) { s.counted = false }, " "},
		{"a refused decision does nothing", refused, "web-1:ready:0 web-2:ready:0", busy, " "},
		{"an unsteady pool ends nobody", keep, "web-1:ready:0 web-2:ready:0 web-3:draining:0", busy, " "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := rules.Memory{}
			members := crew(c.members)
			for _, x := range members {
				if x.State == rules.Draining {
					m.Withdraw([]rules.MemberID{x.ID}, x.Since)
				}
			}
			var listed []rules.Member
			for _, x := range members {
				if x.State == rules.Draining {
					x.State = rules.Ready
				}
				listed = append(listed, x)
			}
			s := situation{terms: rules.Terms{Names: true, Victims: true, Version: "v2"}, d: c.d, members: members, listed: listed, drain: 2 * time.Minute, counted: true, met: all(members), steady: true, now: noon}
			if c.edit != nil {
				c.edit(&s)
			}
			step := plan(s, &m)
			if got := sketch(step); got != c.want {
				t.Errorf("planned %q, want %q", got, c.want)
			}
			for _, n := range step.Names {
				if !strings.Contains(fmt.Sprint(m.Expected), n) {
					t.Errorf("%s is not expected", n)
				}
			}
		})
	}
}

// sketch is a step in a line: verb, names / victims.
func sketch(s journal.Step) string {
	out := string(s.Verb) + " " + strings.Join(s.Names, " ")
	if len(s.Victims) > 0 {
		out = strings.TrimSpace(out) + " /"
		for _, v := range s.Victims {
			out += " " + string(v)
		}
	}
	return out
}

func TestStepIDsFitEveryProvider(t *testing.T) {
	for _, pool := range []string{"web", strings.Repeat("a-very-long-name", 5)} {
		id := stepID(pool, noon)
		if len(id) > 40 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("step ID %q", id)
		}
	}
}

// asks are the ages, in seconds, at which a member that leaves is asked to end again.
func asks(terms rules.Terms, until int) (ages []int) {
	var m rules.Memory
	for age := range until {
		x := rules.Member{ID: "web-1", Name: "web-1", State: rules.Leaving, Since: noon}
		now := noon.Add(time.Duration(age) * time.Second)
		s := situation{d: rules.Decision{Pool: "web", Verdict: rules.Keep}, members: []rules.Member{x}, listed: []rules.Member{x}, terms: terms, steady: true, now: now}
		if step := plan(s, &m); step.Verb == journal.Remove {
			ages = append(ages, age)
		}
	}
	return ages
}

func TestAMemberThatTakesLongToLeaveIsAskedAgainEverMoreRarely(t *testing.T) {
	if got := fmt.Sprint(asks(rules.Terms{Victims: true}, 1000)); got != "[11 22 44 88 176 352 652 952]" {
		t.Errorf("asked at %s", got)
	}
	if got := fmt.Sprint(asks(rules.Terms{Victims: true, Drains: true}, 1000)); got != "[61 122 244 488 788]" {
		t.Errorf("where the provider drains, asked at %s", got)
	}
}

func TestAllThatTakeTooLongAreAskedAgainTogether(t *testing.T) {
	m := rules.Memory{Asked: noon.Add(-15 * time.Second)}
	s := situation{d: rules.Decision{Pool: "web", Verdict: rules.Keep}, members: crew("web-1:leaving web-2:leaving web-3:leaving"), terms: can, steady: true, now: noon}
	s.members[0].Since, s.members[2].Since = noon.Add(-time.Hour), noon.Add(-5*time.Second)
	s.members[1].Since = noon.Add(-12 * time.Second)
	if got := sketch(plan(s, &m)); got != "remove / web-1 web-2" || !m.Asked.Equal(noon) {
		t.Errorf("planned %q, asked at %s", got, m.Asked)
	}
	if got := sketch(plan(s, &m)); got != " " {
		t.Errorf("planned %q at once again", got)
	}
}

// all are members that the traffic was told of.
func all(members []rules.Member) met {
	m := met{}
	for _, x := range members {
		m[x.ID] = true
	}
	return m
}

func TestADeadMemberGoesAndIsOwedWhileThereIsNoCapacity(t *testing.T) {
	var m rules.Memory
	m.Lacked("quota", noon)
	s := situation{
		d:       rules.Decision{Pool: "web", Verdict: rules.Replace, Size: 2, To: 2, Victims: []rules.MemberID{"web-1"}},
		members: crew("web-1:dead web-2:ready:0"), terms: can, steady: true, now: noon,
	}
	if got := sketch(plan(s, &m)); got != "withdraw / web-1" || m.Owed != 1 || len(m.Expected) > 0 {
		t.Errorf("planned %q, owes %d, expects %v", got, m.Owed, m.Expected)
	}
	s.d = rules.Decision{Pool: "web", Verdict: rules.Replace, Size: 2, To: 2, Refused: rules.ProviderBackoff}
	if got := sketch(plan(s, &m)); got != "remove / web-1" {
		t.Errorf("then planned %q", got)
	}
	s.members, s.now = crew("web-2:ready:0"), noon.Add(time.Hour)
	s.d.Refused = ""
	if got := sketch(plan(s, &m)); got != "replace web-3" || m.Owed != 0 {
		t.Errorf("with capacity planned %q, owes %d", got, m.Owed)
	}
}
