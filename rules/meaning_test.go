package rules

import (
	"strings"
	"testing"
	"time"
)

// unlabelled answers with one value over raw samples that bear no label member.
func unlabelled(now time.Time, v float64) Answer {
	r := Reading{Points: []Point{{Value: v}}, Seen: map[string]time.Time{"": now.Add(-time.Second)}, Newest: now.Add(-time.Second)}
	return Answer{Reading: r}
}

func TestAnAnswerWithoutTheLabelMemberAsksForItsScope(t *testing.T) {
	young := states(pool(2), epoch.Add(-time.Second), Ready, Ready)
	other := Answer{Err: "no data"}
	two := requests()
	two.Signals = append(two.Signals, cpu().Signals...)
	for _, c := range []struct {
		name    string
		rule    Scale
		members []Member
		answers []Answer
		asks    bool
	}{
		{"one value for the pool", requests(), pool(3), []Answer{unlabelled(epoch, 150)}, true},
		{"nobody is warm yet", requests(), young, []Answer{unlabelled(epoch, 150)}, true},
		{"another signal is missing", two, pool(3), []Answer{unlabelled(epoch, 150), other}, true},
		{"a fold over too few members", requests(), pool(3), []Answer{folded(epoch, 1, 50)}, false},
		{"members that are not scraped", requests(), pool(3), []Answer{each(epoch, 20)}, false},
		{"one signal without the label, one of few members", two, pool(3), []Answer{unlabelled(epoch, 150), each(epoch, 0.5)}, true},
	} {
		d, _ := Decide(c.rule, Inputs{Members: c.members, Terms: can, Answers: c.answers}, settled(1), epoch)
		text := strings.Join(strings.Fields(d.Explain()), " ")
		if d.Signals[0].Reason != LowCoverage {
			t.Errorf("%s: judged %s\n%s", c.name, d.Signals[0].Reason, text)
		}
		if got := strings.Contains(d.Signals[0].Because, "no label member: write `scope: pool`"); got != c.asks {
			t.Errorf("%s: because %q", c.name, d.Signals[0].Because)
		}
		if got := strings.Contains(text, "low_coverage: the answer does not say which member"); got != c.asks {
			t.Errorf("%s: it means\n%s", c.name, text)
		}
		fewHeard := len(c.answers) > 1 && c.answers[1].Err == "" || !c.asks
		if got := strings.Contains(text, "find those that are not scraped"); got != fewHeard {
			t.Errorf("%s: it means\n%s", c.name, text)
		}
	}
}

func TestARefusedVerdictDoesNotSayThatThereIsNothingToDo(t *testing.T) {
	dry := Inputs{Terms: can, DryRun: true, Answers: []Answer{each(epoch, times(3, 0.9)...)}, Members: pool(3)}
	failing := settled(1)
	failing.Ended(DirOut, "422: no such image", epoch.Add(-time.Millisecond))
	away := dry
	away.DryRun = false
	for reason, c := range map[Reason]struct {
		in Inputs
		m  Memory
	}{DryRun: {dry, settled(1)}, ProviderBackoff: {away, failing}} {
		d, _ := Decide(cpu(), c.in, c.m, epoch)
		text := strings.Join(strings.Fields(d.Explain()), " ")
		if d.Refused != reason || strings.Contains(text, "nothing to do") || !strings.Contains(text, "signal: a signal asks for this size, and "+string(reason)+" refuses it") {
			t.Errorf("refused for %q, explained as\n%s", d.Refused, d.Explain())
		}
	}
	if d, _ := Decide(cpu(), away, settled(1), epoch); !d.Acts() || !strings.Contains(d.Explain(), "nothing to do") {
		t.Errorf("not refused, explained as\n%s", d.Explain())
	}
}
