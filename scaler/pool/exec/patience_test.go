package exec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// clocked is a pool with a clock of its own, whose program writes down what it is
// asked, and answers as the file says that is called as the verb; {} where there is none.
type clocked struct {
	*testing.T
	*Pool
	dir string
	now time.Time
}

func newClocked(t *testing.T, look string) *clocked {
	t.Helper()
	c := &clocked{T: t, dir: t.TempDir(), now: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)}
	c.Pool = script(t, `read -r q; v=${q#*:\"}; v=${v%%\"*}; echo $v >> `+c.dir+`/asked; cat `+c.dir+`/$v 2>/dev/null || echo {}`, func(_ *Config, e *Env) {
		e.Now = func() time.Time { return c.now }
	})
	c.answers("look", look)
	return c
}

func (c *clocked) answers(verb, text string) {
	c.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, verb), []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

// lists looks each second, so often, and counts how often the program was asked to.
func (c *clocked) lists(seconds int) int {
	c.Helper()
	before := c.asked("look")
	for range seconds {
		_, _, _ = c.Look(c.Context()) // whether it fails is not the question
		c.now = c.now.Add(time.Second)
	}
	return c.asked("look") - before
}

func (c *clocked) asked(verb string) int {
	c.Helper()
	raw, err := os.ReadFile(filepath.Join(c.dir, "asked"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.Fatal(err)
	}
	return strings.Count(string(raw), verb+"\n")
}

func (c *clocked) grow() error {
	return c.Grow(c.Context(), journal.Step{ID: "g", Verb: journal.Grow, Names: []string{"web-2"}, To: 2})
}

func (c *clocked) remove() error {
	return c.Remove(c.Context(), journal.Step{ID: "r", Verb: journal.Remove, Victims: []rules.MemberID{"7"}})
}

const oneMember = `{"terms": {"names": true, "victims": true}, "members": [{"id": "7", "name": "web-1", "state": "ready", "born": "2026-11-20T09:00:00Z"}]}`

func TestTheListIsAskedForRarely(t *testing.T) {
	c := newClocked(t, oneMember)
	if n := c.lists(60); n != 4 {
		t.Errorf("in a minute at rest the program was asked %d times, want 4", n)
	}
	if err := c.grow(); err != nil {
		t.Fatal(err)
	}
	if n := c.lists(20); n != 4 {
		t.Errorf("in twenty seconds after a step the program was asked %d times, want 4", n)
	}
	c.answers("grow", `{"terms": {}}`)
	if err := c.grow(); err == nil {
		t.Error("an answer to grow that has terms was taken")
	}
}

func TestAListIsNewAfterAStep(t *testing.T) {
	c := newClocked(t, oneMember)
	for range 3 {
		before := c.asked("look")
		if err := c.grow(); err != nil {
			t.Fatal(err)
		}
		if n := c.lists(1); n != 1 || c.asked("look") != before+2 {
			t.Errorf("asked %d times for a step, and %d after it, want once each", c.asked("look")-before-n, n)
		}
	}
}

func TestOneThatCannotBeEndedCostsNoMoreThanAPoolAtRest(t *testing.T) {
	c := newClocked(t, oneMember)
	c.answers("remove", `{"error": "delete web-1: it is locked"}`)
	if err := c.remove(); err == nil {
		t.Fatal("what failed did not")
	}
	if n := c.lists(300); n > 21 {
		t.Errorf("asked %d times in the five minutes after a step", n)
	}
	if n := c.lists(300); n > 21 {
		t.Errorf("asked %d times in the five minutes after those", n)
	}
}

func TestAProgramThatFailsIsRunEverMoreRarely(t *testing.T) {
	c := newClocked(t, `{"error": "the cloud is closed"}`)
	if n := c.lists(60); n > 7 {
		t.Errorf("asked %d times in the first minute", n)
	}
	if n := c.lists(600); n > 11 {
		t.Errorf("asked %d times in ten minutes after that", n)
	}
	if _, _, err := c.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "the cloud is closed") || !strings.Contains(err.Error(), "not asked again before 10:1") {
		t.Errorf("while it is left alone: %v", err)
	}
	if err := c.grow(); err == nil || c.asked("grow") > 0 {
		t.Errorf("a step by an unknown list: %v", err)
	}
	c.answers("look", oneMember)
	c.lists(61)
	pooltest.Look(t, c.Pool)
	c.answers("look", "")
	c.now = c.now.Add(time.Minute)
	if n := c.lists(4); n < 2 {
		t.Errorf("after one that did well the program was asked %d times in 4 s, want as at first", n)
	}
}

func TestAProgramIsLeftAloneForAsLongAsItSays(t *testing.T) {
	for _, tt := range []struct {
		name, verb, answer string
	}{
		{"a look that failed", "look", `{"error": "too many requests", "retry_after": 30}`},
		{"a look that did not", "look", strings.Replace(oneMember, "{", `{"retry_after": 30, `, 1)},
		{"a growth that failed", "grow", `{"error": "too many requests", "retry_after": 30}`},
		{"a removal", "remove", `{"retry_after": 30}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClocked(t, oneMember)
			c.answers(tt.verb, tt.answer)
			switch tt.verb {
			case "grow":
				_ = c.grow()
			case "remove":
				_ = c.remove()
			}
			if n := c.lists(29); tt.verb != "look" && n != 0 || tt.verb == "look" && n != 1 {
				t.Errorf("listed %d times within the 30 s", n)
			}
			grown := c.asked("grow")
			if err := c.grow(); err == nil || c.asked("grow") > grown {
				t.Errorf("grown within the 30 s: %v", err)
			}
			if n := c.lists(20); n == 0 {
				t.Error("not asked any more after the 30 s")
			}
		})
	}
}
