package rules

import (
	"encoding/json"
	"testing"
	"time"
)

const noImage = "make web: DigitalOcean answers 422: You specified an invalid image"

// fails tells that the call which asked for a member failed as of seconds.
func (s *rollout) fails(name, words string, seconds int) {
	now := epoch.Add(time.Duration(seconds) * time.Second)
	s.m.Doubt([]string{name}, false, nil, can, now)
	s.m.Ended(DirOut, words, now)
}

// tried judges every second; each new member is asked for, and answered by answer.
// It returns how many were asked for until a roll is no longer under way.
func (s *rollout) tried(from, to int, answer func(name string, seconds int)) (asked int) {
	s.t.Helper()
	for sec := from; sec < to; sec++ {
		now := epoch.Add(time.Duration(sec) * time.Second)
		s.answer(now)
		d, m := Decide(s.r, s.in, s.m, now)
		checkRound(s.t, s.r, s.in, s.m, d, m)
		s.d, s.m = d, m
		if d.Roll == nil || d.Roll.State != RollUnderWay {
			return asked
		}
		if d.Acts() {
			asked++
			name := "web-" + itoa(3+asked)
			s.grow(name, sec)
			answer(name, sec)
		}
	}
	return asked
}

// A newcomer's: an image that is not there was asked for 9 times in 4 minutes.
func TestARollWhoseNewMembersCannotBeMadeStopsInTheProvidersWords(t *testing.T) {
	s := newRollout(t)
	n := s.tried(0, 300, func(name string, sec int) { s.fails(name, noImage, sec) })
	if took := s.d.At.Sub(epoch); n != mostMissed || took < time.Minute || took > 2*time.Minute {
		t.Errorf("%d were asked for until it ended, in %s", n, took)
	}
	if s.d.Reason != RollStopped || s.d.Verdict != Keep {
		t.Errorf("decided %s", s.d.Line())
	}
	s.tells("stopped, 0 of 3 replaced by version v2: 5 new members in a row did not come; the last: " + noImage)
	s.in.Roll = &Order{By: "alice", At: s.d.At.Add(time.Second)} // it is mended, and ordered anew
	s.m.Ended(DirOut, "", s.d.At)
	s.at(120, "scale_out 4 rolling")
	if s.m.Roll.Missed != 0 {
		t.Errorf("the new roll counts the old one's: %+v", s.m.Roll)
	}
}

func TestARollWaitsForCapacityAndSaysSo(t *testing.T) {
	s := newRollout(t)
	const sold = "the size is sold out: no capacity"
	n := s.tried(0, 2*3600, func(name string, sec int) {
		now := epoch.Add(time.Duration(sec) * time.Second)
		s.m.Doubt([]string{name}, false, nil, can, now)
		s.m.Lacked(sold, now)
	})
	if n < 5 || n > 7 || s.d.Roll.State != RollUnderWay {
		t.Errorf("%d were asked for; it tells %v", n, s.d.Roll)
	}
	s.tells("0 of 3 replaced by version v2; waits: the provider has no capacity and is left alone until")
	s.tells(sold)
	const later = 2*3600 + 1800 // it is asked again by then
	s.at(later, "scale_out 4 rolling")
	s.grow("web-20", later)
	s.m.Roll.Said = ""
	s.m.Doubt([]string{"web-20"}, false, nil, can, epoch.Add(later*time.Second))
	s.m.Lacked(sold, epoch.Add(later*time.Second))
	s.at(later+1, "keep 4 in_band")
	s.tells("waits: the provider has no capacity for web-20: " + sold)
}

func TestNewMembersThatFailNowAndThenStopNoRoll(t *testing.T) {
	s := newRollout(t)
	tries := 0
	n := s.tried(0, 65, func(name string, sec int) {
		if tries++; tries < mostMissed {
			s.fails(name, "503", sec)
		} else {
			s.m.Ended(DirOut, "", epoch)
			s.list(name, "v2", Ready, sec)
		}
	})
	if n > mostMissed || s.m.Roll.Missed > mostMissed-1 || !s.m.Roll.Ended.IsZero() {
		t.Errorf("%d were asked for: %+v", n, s.m.Roll)
	}
	s.tried(65, 70, func(string, int) {})
	if s.m.Roll.Missed != 0 || s.m.Roll.Said != "" {
		t.Errorf("one came, and those before it are still counted: %+v", s.m.Roll)
	}
}

func TestAMemberThatNeverComesIsNotSaidToBoot(t *testing.T) {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	s.grow("web-4", 0)
	s.at(1, "keep 4 in_band")
	s.tells("waits: web-4 was asked for and is not listed yet")
	s.fails("web-4", noImage, 2)
	s.at(3, "keep 4 in_band")
	s.tells("waits: asking for web-4 failed, it may come all the same: " + noImage)
	s.list("web-4", "v2", Booting, 4)
	s.at(5, "keep 4 in_band")
	s.tells("waits: web-4 is booting")
	s.list("web-4", "v2", Leaving, 6)
	s.in.Members[3].Note = "DigitalOcean could not make it"
	s.m.Roll.Said = ""
	s.at(7, "keep 3 in_band")
	s.tells("waits: web-4 is leaving")
	if s.m.Roll.Missed != 1 || s.m.Roll.Said != "DigitalOcean could not make it" {
		t.Errorf("remembers %+v", s.m.Roll)
	}
}

func TestARefusedRollTellsWhatItWaitsFor(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*rollout)
		want string
		text string
	}{
		{"it is paused", func(s *rollout) { s.in.Pause = &Order{} }, "scale_out 4 rolling paused", "waits: paused"},
		{"nothing is done by configuration", func(s *rollout) { s.in.DryRun = true }, "scale_out 4 rolling dry_run", "waits: dry_run"},
		{"the provider failed", func(s *rollout) { s.m.Ended(DirOut, "503", epoch) }, "scale_out 4 rolling provider_backoff", "waits: the provider is left alone until 10:00:01: 503"},
		{"the provider has no more", func(s *rollout) { s.m.Lacked("sold out", epoch) }, "scale_out 4 rolling provider_backoff", "waits: the provider has no capacity and is left alone until 10:05:00: sold out"},
		{"growth that goes before it", func(s *rollout) { s.r.Min, s.r.Max, s.in.DryRun = 5, 5, true }, "scale_out 5 at_min dry_run", "waits: the pool is to be resized, which is not done: dry_run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newRollout(t)
			c.edit(s)
			s.at(0, c.want)
			s.tells("0 of 3 replaced by version v2; " + c.text)
		})
	}
}

// Scale-in took 3 of 7 away, and a roll that made nobody told that 3 were replaced.
func TestWhoWentOtherwiseWasNotReplaced(t *testing.T) {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	s.grow("web-4", 0)
	s.gone("web-2")
	s.r.Signals[0].Share = 21
	s.at(1, "keep 3 in_band")
	s.tells("0 of 3 replaced by version v2, 1 went otherwise; waits: web-4 was asked for")
	s.list("web-4", "v2", Ready, 2)
	s.at(70, "scale_in 2 rolling web-1")
	s.m.Withdraw([]MemberID{"web-1"}, epoch.Add(70*time.Second))
	s.at(71, "keep 2 in_band")
	s.tells("1 of 3 replaced by version v2, 1 went otherwise")
	s.m.Admit([]MemberID{"web-1"}) // growth takes it back
	s.r.Signals[0].Share = 14
	s.at(72, "scale_out 4 rolling")
	s.tells("0 of 3 replaced by version v2, 1 went otherwise")
	s.gone("web-1")
	s.gone("web-3")
	s.r.Signals[0].Share, s.r.Min = 42, 1
	s.at(80, "keep 1 in_band")
	s.tells("done, 0 of 3 replaced by version v2, 3 went otherwise")
	s.in.Roll = nil
	s.at(90, "keep 1 in_band")
	s.tells("done, 0 of 3 replaced by version v2, 3 went otherwise")
}

func TestWhoIsNotListedForAMomentIsNotGone(t *testing.T) {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	s.grow("web-4", 0)
	s.gone("web-2")
	s.in.Terms.Drift = "1 of 3 is not listed"
	s.at(1, "keep 3 drift")
	s.tells("0 of 3 replaced by version v2; waits: drift")
}

func TestARollOfAnEarlierVersionsMemoryIsReadAndGoesOn(t *testing.T) {
	s := newRollout(t)
	s.at(0, "scale_out 4 rolling")
	old := `{"at":"2026-11-20T10:00:00Z","version":"v2","of":3,"surge":"web-4","since":"2026-11-20T10:00:00Z"}`
	s.m.Roll = nil
	if err := json.Unmarshal([]byte(old), &s.m.Roll); err != nil {
		t.Fatal(err)
	}
	s.list("web-4", "v2", Ready, 1)
	s.at(70, "scale_in 3 rolling web-1")
	s.gone("web-1")
	s.at(71, "scale_out 4 rolling")
	s.tells("1 of 3 replaced by version v2; makes one")
}
