package scaler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler/journal"
)

func TestAStepNamesItsVictims(t *testing.T) {
	members := crew("web-1:ready:0 web-2:ready:0")
	members[0].ID, members[0].Note = "500000015", "droplet 500000015 in ams3"
	d := rules.Decision{Pool: "web", Verdict: rules.ScaleIn, Size: 2, To: 1}
	s := situation{d: d, members: members, listed: members, terms: can, counted: true, met: all(members), steady: true, now: noon}
	step := plan(s, &rules.Memory{})
	if got := fmt.Sprint(step.Victims, step.Going()); got != "[500000015] [web-1 (500000015)]" {
		t.Errorf("the step says %s", got)
	}
	var old journal.Step
	if err := json.Unmarshal([]byte(`{"id":"s1","target":"pool/web","verb":"remove","to":1,"victims":["500000015","web-2.ab12"],"reason":"signal"}`), &old); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(old.Going()); got != "[500000015 web-2]" {
		t.Errorf("a step of an earlier version says %s", got)
	}
}

// logged runs the world's pool with its log kept.
func logged(w *world) (s *Scaler, log *bytes.Buffer) {
	log = &bytes.Buffer{}
	s = New(Options{
		Querier: w, Journal: w.journal, Roster: NewRoster(),
		Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry(),
	})
	s.Apply(map[string]Unit{"web": {Pool: w, Traffic: w}}, []rules.Scale{*shareRule()})
	return s, log
}

func TestTheLogNamesPoolAndMembersOfAStep(t *testing.T) {
	w := newWorld(1)
	w.make([]string{"web-1", "web-2", "web-3"})
	for i := range w.members {
		w.members[i].State = rules.Ready
	}
	w.members[2].ID, w.members[2].State = "500000015", rules.Dead
	s, log := logged(w)
	w.sold = 1 // the step fails
	if err := s.loops["web"].turn(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"msg=acting", `msg="step failed"`} {
		if line := lineWith(log, text); !strings.Contains(line, "pool=web") || !strings.Contains(line, "web-3 (500000015)") {
			t.Errorf("logged %q", line)
		}
	}
}

func TestAnOrderWithoutAnEndIsLoggedWithoutOne(t *testing.T) {
	s, log := logged(newWorld(1))
	h := s.Handler(func(*http.Request) string { return "alice" })
	for body, want := range map[string]bool{`{"reason":"sale"}`: false, `{"reason":"sale","for":"2h"}`: true} {
		log.Reset()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/api/flyball/v1/pools/web/pause", strings.NewReader(body)))
		line := lineWith(log, "order taken")
		if got := strings.Contains(line, "until="); w.Code != http.StatusOK || got != want || !strings.Contains(line, "reason=sale") {
			t.Errorf("%s: status %d, logged %q", body, w.Code, line)
		}
	}
}

// lineWith is the log's line that has a text.
func lineWith(log *bytes.Buffer, text string) string {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
