package exec

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// script makes a pool that a shell script speaks for.
func script(t *testing.T, text string, turn ...func(*Config, *Env)) *Pool {
	t.Helper()
	c, e := Config{Command: []string{"sh", "-c", text}}, Env{}
	for _, f := range turn {
		f(&c, &e)
	}
	p, err := New("web", c, e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWrongAnswersAreNamed(t *testing.T) {
	const one = `"id": "1", "name": "web-1", "born": "2026-11-20T10:00:00Z", "state": "booting"`
	for _, tt := range []struct{ name, script, want string }{
		{"nothing", `true`, "it printed nothing"},
		{"no terms", `echo '{}'`, "has no terms"},
		{"cut off", `echo '{"terms": {'`, "ends in the middle"},
		{"no JSON", `echo hello`, "invalid character 'h'"},
		{"unknown field", `echo '{"terms": {"name": true}}'`, `unknown field "name"`},
		{"wrong kind", `echo '{"terms": {"names": "yes"}}'`, "terms.names is a string, and not a bool"},
		{"two documents", `echo '{"terms": {}} {}'`, "there is more after its answer"},
		{"state", `echo '{"terms": {}, "members": [{` + strings.Replace(one, "booting", "up", 1) + `}]}'`, `members[0]: state "up" is not known`},
		{"born", `echo '{"terms": {}, "members": [{"id": "1", "name": "a", "state": "ready"}]}'`, "born is missing"},
		{"nameless", `echo '{"terms": {}, "members": [{"id": "1"}]}'`, "no id, or no name"},
		{"address", `echo '{"terms": {}, "members": [{` + one + `, "address": "10.0.0.1"}]}'`, `address "10.0.0.1" is none`},
		{"twins", `echo '{"terms": {}, "members": [{` + one + `}, {` + one + `}]}'`, `members[1]: id "1" is another's`},
		{"namesakes", `echo '{"terms": {}, "members": [{` + one + `}, {` + strings.Replace(one, `"1"`, `"2"`, 1) + `}]}'`, `members[1]: name "web-1" is another's`},
		{"price", `echo '{"terms": {"price": 1}}'`, "has no currency"},
		{"negative price", `echo '{"terms": {"price": -1}}'`, "terms.price is -1"},
		{"most", `echo '{"terms": {"most": -1}}'`, "terms.most is -1"},
		{"lag", `echo '{"terms": {"lag": -1}}'`, "terms.lag is -1"},
		{"advice", `echo '{"terms": {"advice": -1}}'`, "terms.advice is -1"},
		{"patience", `echo '{"terms": {}, "retry_after": -1}'`, "retry_after is -1"},
		{"failure", `echo '{"error": "the cloud is closed"}'`, "the cloud is closed"},
		{"status", `echo '{"terms": {}}'; echo secret >&2; exit 3`, "exit status 3; what it printed on standard error is in the log"},
		{"too long", `yes`, "longer than 4 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := script(t, tt.script).Look(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "list the members of pool web: run sh look: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("what the program told people is in the error: %v", err)
			}
		})
	}
}

func TestAProgramAndWhatItStartedEndAtTheDeadline(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := script(t, `sleep 600 & echo $! > `+file+`; wait`, func(c *Config, _ *Env) { c.Timeout = 300 * time.Millisecond })
	_, _, err := p.Look(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "longer than 300ms") {
		t.Errorf("got %v", err)
	}
	wantGone(t, file)
}

func TestWhatAProgramLeavesBehindEndsWithIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p := script(t, `sleep 600 & echo $! > `+file+`; echo '{"terms": {}}'`)
	begun := time.Now()
	if _, _, err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s to be rid of it", took)
	}
	wantGone(t, file)
}

// wantGone waits for the end of the process whose number is in a file.
func wantGone(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	pooltest.Until(t, "the end of "+strconv.Itoa(pid), func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || strings.Contains(string(stat), ") Z ")
	})
}

func TestWordsForPeopleGoToTheLog(t *testing.T) {
	var log bytes.Buffer
	p := script(t, `echo one >&2; echo two >&2; yes three | head -c 100000 >&2; echo '{"terms": {}}'`, func(_ *Config, e *Env) {
		e.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	if _, _, err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"line=one", "line=two", "more than is kept", "pool=web"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if n := log.Len(); n > 1<<20 {
		t.Errorf("the log has %d bytes", n)
	}
}

func TestQuestionsSayAllThatIsNeeded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "asked")
	const members = `{"terms": {"names": true, "victims": true}, "members": [` +
		`{"id": "7", "name": "web-1", "state": "ready", "born": "2026-11-20T09:00:00Z", "address": "10.0.0.1:80", "version": "v1", "note": "n"}]}`
	p := script(t, `read -r q; echo "$q" >> `+file+`; case $q in *look*) echo '`+members+`';; *) echo {};; esac`, func(_ *Config, e *Env) {
		e.Now = func() time.Time { return time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC) }
	})
	if err := p.Grow(t.Context(), journal.Step{ID: "g", Verb: journal.Grow, Names: []string{"web-1", "web-2"}, To: 2}); err != nil {
		t.Error(err)
	}
	if err := p.Remove(t.Context(), journal.Step{ID: "r", Verb: journal.Remove, Victims: []rules.MemberID{"7", "8"}}); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const look = `{"verb":"look","pool":"web"}` + "\n"
	want := look + `{"verb":"grow","pool":"web","step":"g","names":["web-2"],"size":2}` + "\n" + look +
		`{"verb":"remove","pool":"web","step":"r","victims":[{"id":"7","name":"web-1","asked":"2026-11-20T10:00:00Z"}],"size":0}` + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
	m := pooltest.Look(t, p)[0]
	if m.State != rules.Leaving || m.Version != "v1" || m.Note != "n" {
		t.Errorf("the member that was asked to end is %+v", m)
	}
}

func TestAPoolThatTakesASizeIsToldIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "asked")
	p := script(t, `read -r q; echo "$q" >> `+file+`; case $q in *look*) echo '{"terms": {}}';; *) echo '{"error": "full", "no_capacity": true}';; esac`)
	for _, err := range []error{
		p.Grow(t.Context(), journal.Step{ID: "g", Verb: journal.Grow, To: 3}),
		p.Remove(t.Context(), journal.Step{ID: "r", Verb: journal.Remove, To: 1}),
	} {
		if !errors.Is(err, scaler.ErrNoCapacity) {
			t.Errorf("got %v", err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(raw), `"step":"g","size":3}`) || !strings.Contains(string(raw), `"step":"r","size":1}`) {
		t.Errorf("asked %s, %v", raw, err)
	}
}

func TestTheProgramSeesOnlyTheEnvironmentItIsGiven(t *testing.T) {
	t.Setenv("FLYBALL_SECRET", "x")
	t.Setenv("FLYBALL_TOLD", "y")
	p := script(t, `[ -z "$FLYBALL_SECRET" ] && [ "$FLYBALL_TOLD$GIVEN" = yz ] && echo '{"terms": {}}'`, func(c *Config, _ *Env) {
		c.Env = map[string]string{"FLYBALL_TOLD": "", "GIVEN": "z"}
	})
	pooltest.Look(t, p)
}

func TestConfigNamesItsMistakes(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    Config
		want []string
	}{
		{"good", Config{Command: []string{"sh"}}, nil},
		{"nothing", Config{}, []string{"$.command"}},
		{"missing", Config{Command: []string{"./nowhere.py"}}, []string{"$.command"}},
		{"times", Config{Command: []string{"sh"}, Timeout: 1, Every: time.Hour}, []string{"$.timeout", "$.every"}},
		{"variables", Config{Command: []string{"sh"}, Env: map[string]string{"A-B": "x", "FLYBALL_UNSET": ""}}, []string{"$.env", "$.env.FLYBALL_UNSET"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range tt.c.Validate("$") {
				got = append(got, f.Path)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPreflightFindsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		script string
		want   []string
	}{
		{`echo '{"terms": {"names": true, "victims": true, "most": 5}}'`, nil},
		{`echo '{"terms": {"most": 4}}'`, []string{"quota", "draining"}},
		{`exit 1`, []string{"program"}},
	} {
		var wrong []string
		for _, f := range script(t, tt.script).Preflight(t.Context(), 5) {
			if !f.OK {
				wrong = append(wrong, f.What)
				if f.Text == "" || f.Hint == "" {
					t.Errorf("finding %+v says too little", f)
				}
			}
		}
		if diff := cmp.Diff(tt.want, wrong); diff != "" {
			t.Errorf("%s: wrong is (-want +got):\n%s", tt.script, diff)
		}
	}
}

func TestAPreflightSaysHowToRunTheProgramByHandAndTellsNoValue(t *testing.T) {
	p := script(t, "exit 1", func(c *Config, _ *Env) { c.Env = map[string]string{"TYPE": "cx22", "IMAGE": "app-7"} })
	if h := p.Preflight(t.Context(), 5)[0].Hint; !strings.Contains(h, `{"verb": "look", "pool": "web"}' | IMAGE=... TYPE=... sh -c`) {
		t.Errorf("the hint is %s", h)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"error": "x", "no_capacity": true, "retry_after": 1e9}`, `{"terms": {"names": true, "price": 1e-3, "currency": "EUR"}}`,
		`{"terms": {}, "members": [{"id": "1", "name": "web-1", "state": "dead", "born": "2026-11-20T10:00:00Z"}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parse(text, verbLook)
		if err != nil || a.failure("p", verbLook) != nil {
			return
		}
		l, err := a.listing()
		if err != nil {
			return
		}
		for i, m := range l.members {
			if m.ID == "" || m.Name == "" || m.Born.IsZero() || m.Since.IsZero() || i > 0 && l.members[i-1].Name >= m.Name {
				t.Errorf("member %+v was taken", m)
			}
		}
	})
}
