package main

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

var clientNow = time.Date(2026, 11, 20, 10, 0, 16, 0, time.UTC)

// A service is a fake of the running one.
type service struct {
	*httptest.Server
	answers map[string]any // by method and path
	asked   []string       // method, path with query, Authorization, body
}

func newService(t *testing.T) *service {
	s := &service{answers: map[string]any{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.asked = append(s.asked, strings.TrimSpace(strings.Join([]string{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), string(body)}, " ")))
		switch a := s.answers[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/flyball/v1")].(type) {
		case nil:
			problemOf(w, journal.Problem{Status: 404, Detail: "there is no such thing"})
		case journal.Problem:
			problemOf(w, a)
		case http.HandlerFunc:
			a(w, r)
		default:
			if err := json.NewEncoder(w).Encode(a); err != nil {
				t.Error(err)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func problemOf(w http.ResponseWriter, p journal.Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the test sees an empty detail
}

// flyball runs a command line against the service.
func (s *service) flyball(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	env := map[string]string{"FLYBALL_ADDRESS": s.URL, "FLYBALL_TOKEN_FILE": filepath.Join(t.TempDir(), "token")}
	if err := os.WriteFile(env["FLYBALL_TOKEN_FILE"], []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return command(t, env, args...)
}

func command(t *testing.T, env map[string]string, args ...string) (string, error) {
	t.Helper()
	o := newClientOptions(func(k string) string { return env[k] }, func() time.Time { return clientNow })
	root := &cobra.Command{Use: "flyball", SilenceErrors: true}
	root.AddCommand(o.commands()...)
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return strings.ReplaceAll(out.String(), env["FLYBALL_ADDRESS"], "http://127.0.0.1:9480"), err
}

func decision() rules.Decision {
	cpu := 0.98
	return rules.Decision{
		ID: "web-20261120T100015.250Z", Pool: "web", Rule: "web.scale.yaml:2", At: clientNow.Add(-750 * time.Millisecond),
		Members: rules.Count{Ready: 3}, Size: 3, Wants: 4,
		Signals: []rules.Judged{{Name: "cpu", Value: &cpu, Unit: "percent", Age: "1s", Coverage: 1, Wants: 4, Reason: rules.BySignal, Because: "3 x 0.98 / 0.80 = 3.67"}},
		Verdict: rules.ScaleOut, To: 4, Reason: rules.BySignal, Signal: "cpu",
	}
}

func status() scaler.Status {
	d, open := decision(), 2
	return scaler.Status{
		Version: "0.1.0", Site: "ams3", Started: clientNow.Add(-63 * time.Minute), Now: clientNow,
		Paused: &rules.Order{By: "carol", Why: "database upgrade"},
		Pools: []scaler.PoolStatus{
			{Name: "api", Members: nil},
			{
				Name: "web", Rule: "web.scale.yaml:2", Mode: rules.Act, Min: 1, Max: 6, Decision: &d, Judged: clientNow.Add(-2 * time.Second),
				Members: []rules.Member{
					{ID: "web-1", Name: "web-1", Addr: "127.0.0.1:20001", State: rules.Ready, Since: clientNow.Add(-time.Hour), Born: clientNow.Add(-61 * time.Minute), Open: &open, Note: "pid 4101"},
					{ID: "web-2", Name: "web-2", State: rules.Booting, Since: clientNow.Add(-time.Second)},
				},
				Floor: &rules.Order{By: "alice", Why: "sale", Until: clientNow.Add(90 * time.Minute), Size: 5},
				Pause: &rules.Order{By: "bob", Until: clientNow.Add(-time.Second)},
			},
		},
	}
}

// unjudged is a service that cannot judge its pool any more.
func unjudged() scaler.Status {
	st := status()
	st.Pools[1].Failing = "look at pool web: list Droplets: ask https://api.digitalocean.com: connection refused"
	st.Pools[1].Judged = clientNow.Add(-4 * time.Minute)
	return st
}

func told() journal.Told {
	s := journal.Step{ID: "s1", Target: "pool/web", Verb: journal.Grow, Names: []string{"web-4"}, To: 4}
	return journal.Told{Decision: decision(), Exact: true, Steps: []journal.StepTold{
		{Begun: journal.Entry{At: clientNow}, Step: s},
		{Begun: journal.Entry{At: clientNow.Add(-time.Minute)}, Step: s, Outcome: &journal.Outcome{OK: true, Took: "1.2s"}},
		{Begun: journal.Entry{At: clientNow.Add(-time.Hour)}, Step: journal.Step{Verb: journal.Remove, To: 3}, Outcome: &journal.Outcome{Err: "no\x1b[2J answer"}},
		{
			Begun:   journal.Entry{At: clientNow.Add(-time.Hour)},
			Step:    journal.Step{Verb: journal.Withdraw, Victims: []rules.MemberID{"a", "b", "c", "d", "e"}},
			Outcome: &journal.Outcome{OK: true, Resumed: true},
		},
		{
			Begun: journal.Entry{At: clientNow.Add(-2 * time.Hour)},
			Step: journal.Step{
				Verb: journal.Swap, Names: []string{"web-3"}, Victims: []rules.MemberID{"500000015", "web-2.k7dq2m1x"},
				Named: []rules.Named{{ID: "500000015", Name: "web-1"}, {ID: "web-2.k7dq2m1x", Name: "web-2"}},
			},
			Outcome: &journal.Outcome{OK: true, Took: "2s"},
		},
		{
			Begun: journal.Entry{At: clientNow.Add(-3 * time.Hour)},
			Step: journal.Step{
				Verb: journal.Remove, Victims: []rules.MemberID{"7349182734982734981", "7349182734982734982"},
				Named: []rules.Named{{ID: "7349182734982734981", Name: "web-11"}, {ID: "7349182734982734982", Name: "web-12"}},
			},
			Outcome: &journal.Outcome{OK: true, Took: "2s"},
		},
	}}
}

func decisions(t *testing.T, more bool) journal.Page {
	first, second := decision(), decision()
	first.ID, first.Verdict, first.Reason = "web-20261120T095000.000Z", rules.Keep, rules.InBand
	var p journal.Page
	for _, d := range []rules.Decision{second, first} { // newest first, as the service answers
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		p.Entries = append(p.Entries, journal.Entry{ID: d.ID, Body: b})
	}
	p.More = more
	return p
}

func TestCommandsPrintWhatTheServiceAnswers(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	nearest := told()
	nearest.Exact, nearest.Steps = false, nil
	for name, c := range map[string]struct {
		args    string
		answers map[string]any
	}{
		"status":                     {"status", map[string]any{"GET /status": status()}},
		"status_pool":                {"status web", map[string]any{"GET /status": status()}},
		"status_roll":                {"status", map[string]any{"GET /status": rolled(underWay)}},
		"status_roll_pool":           {"status web", map[string]any{"GET /status": rolled(underWay)}},
		"status_roll_ordered":        {"status", map[string]any{"GET /status": rolled(ordered)}},
		"status_roll_stopped":        {"status web", map[string]any{"GET /status": rolled(halted)}},
		"status_roll_done":           {"status web", map[string]any{"GET /status": rolled(rolledOut)}},
		"status_kept":                {"status web", map[string]any{"GET /status": rolled(keeping)}},
		"status_drift":               {"status web", map[string]any{"GET /status": rolled(drifting)}},
		"status_no_pools":            {"status", map[string]any{"GET /status": scaler.Status{Version: "0.1.0", Started: clientNow, Now: clientNow}}},
		"status_json":                {"status --json", map[string]any{"GET /status": scaler.Status{Version: "0.1.0", Started: clientNow, Now: clientNow}}},
		"status_elastic":             {"status", map[string]any{"GET /status": supplying(untroubled)}},
		"status_elastic_json":        {"status --json", map[string]any{"GET /status": supplying(troubled)}},
		"status_elastic_first":       {"status", map[string]any{"GET /status": supplying(unasked)}},
		"status_elastic_unreachable": {"status", map[string]any{"GET /status": supplying(unreached)}},
		"status_elastic_not_ready":   {"status", map[string]any{"GET /status": supplying(unready)}},
		"status_elastic_recovered":   {"status", map[string]any{"GET /status": supplying(recovered)}},
		"status_elastic_troubled":    {"status", map[string]any{"GET /status": supplying(troubled)}},
		"status_elastic_foreign":     {"status", map[string]any{"GET /status": supplying(foreigners)}},
		"explain":                    {"explain", map[string]any{"GET /status": status(), "GET /pools/web/explain": told()}},
		"explain_unjudged":           {"explain web", map[string]any{"GET /status": unjudged(), "GET /pools/web/explain": told()}},
		"explain_none":               {"explain", map[string]any{"GET /status": scaler.Status{}}},
		"explain_id":                 {"explain web-20261120T100014Z", map[string]any{"GET /decisions/web-20261120T100014Z": nearest}},
		"explain_json":               {"explain web --json", map[string]any{"GET /pools/web/explain": nearest}},
		"decisions":                  {"decisions", map[string]any{"GET /decisions": decisions(t, true)}},
		"decisions_none":             {"decisions", map[string]any{"GET /decisions": journal.Page{}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.answers = c.answers
			got, err := s.flyball(t, strings.Fields(c.args)...)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "client", name+".txt")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for line := range strings.Lines(got) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 && !strings.Contains(c.args, "json") {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}

func TestActsSendTheTokenAndSayWhatWasDone(t *testing.T) {
	until := rules.Order{By: "token", Until: clientNow.Add(2 * time.Hour)}
	for line, c := range map[string]struct{ asked, printed string }{
		"pool set web 5 --for 2h --reason sale": {
			`POST /api/flyball/v1/pools/web/set Bearer secret {"size":5,"for":"2h","reason":"sale"}`,
			"pool web has at least 5 members until 2026-11-20 12:00:16 UTC, by token\n",
		},
		"pool set web 5":           {`POST /api/flyball/v1/pools/web/set Bearer secret {"size":5}`, "pool web has at least 5 members, by token\n"},
		"pool pause we/b --for 1d": {`POST /api/flyball/v1/pools/we%2Fb/pause Bearer secret {"for":"1d"}`, "pool we/b is paused until 2026-11-20 12:00:16 UTC, by token\n"},
		"pool resume web":          {`POST /api/flyball/v1/pools/web/resume Bearer secret {}`, "pool web is resumed: its pause and floor are taken back, by token\n"},
		"pool roll web --reason image": {
			`POST /api/flyball/v1/pools/web/roll Bearer secret {"reason":"image"}`,
			"pool web is rolled, one member at a time: `flyball status web` shows how far it is, by token\n",
		},
		"pool roll web --stop":        {`POST /api/flyball/v1/pools/web/roll/stop Bearer secret {}`, "the roll of pool web is stopped: members that were replaced stay, by token\n"},
		"stop-all --reason migration": {`POST /api/flyball/v1/stop-all Bearer secret {"reason":"migration"}`, "all pools are paused, by token\n"},
		"resume-all":                  {`POST /api/flyball/v1/resume-all Bearer secret {}`, "stop-all is taken back, by token\n"},
	} {
		s := newService(t)
		for _, path := range []string{"/pools/web/set", "/pools/we/b/pause", "/pools/web/resume", "/pools/web/roll", "/pools/web/roll/stop", "/stop-all", "/resume-all"} {
			s.answers["POST "+path] = until
		}
		got, err := s.flyball(t, strings.Fields(line)...)
		if err != nil || got != c.printed {
			t.Errorf("%s: printed %q (%v), want %q", line, got, err, c.printed)
		}
		if diff := cmp.Diff([]string{c.asked}, s.asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func TestAReaderSendsNoTokenAndAUserSendsThePassword(t *testing.T) {
	s := newService(t)
	s.answers["GET /decisions"] = journal.Page{}
	if _, err := s.flyball(t, "decisions", "--since", "1h", "--pool", "web", "--limit", "7"); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.flyball(t, "decisions", "--since", "2026-11-20T09:00:00Z", "--user", "alice", "--password-file", password); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET /api/flyball/v1/decisions?limit=7&pool=web&since=2026-11-20T09%3A00%3A16Z",
		"GET /api/flyball/v1/decisions?limit=100&since=2026-11-20T09%3A00%3A00Z Basic YWxpY2U6cHc=",
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorsHaveTheirExitCodesAndSayWhatToDo(t *testing.T) {
	s := newService(t)
	s.answers["GET /status"] = scaler.Status{Pools: []scaler.PoolStatus{{Name: "web"}}}
	s.answers["POST /stop-all"] = journal.Problem{Status: 403, Detail: "the token is wrong"}
	s.answers["POST /pools/web/set"] = journal.Problem{Status: 422, Detail: "size 9 is outside 1 to 6"}
	s.answers["POST /pools/web/pause"] = journal.Problem{Status: 503, Detail: "journal is full"}
	s.answers["POST /resume-all"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
	})
	s.answers["GET /decisions"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }) //nolint:errcheck // the test sees it
	for line, c := range map[string]struct {
		code int
		want string
	}{
		"status nope":                           {exitRefused, `no pool "nope": there are web`},
		"status a b":                            {exitUsage, "accepts at most 1 arg"},
		"status --bogus":                        {exitUsage, "unknown flag"},
		"status --address ftp://x":              {exitUsage, "write e.g. http://127.0.0.1:9480"},
		"status --address 127.0.0.1:1":          {exitUnreachable, "is `flyball run` running there?"},
		"status --user alice":                   {exitUsage, "--user needs --password-file"},
		"status --ca-file /does/not/exist":      {exitFailed, "read --ca-file"},
		"explain nope":                          {exitRefused, "there is no such thing"},
		"decisions":                             {exitFailed, "is that flyball?"},
		"decisions --since yesterday":           {exitUsage, "neither a duration such as 1h nor a time"},
		"pool":                                  {exitUsage, "pool set, pool pause, pool resume, pool roll or pool end"},
		"pool bogus":                            {exitUsage, "unknown command"},
		"pool roll":                             {exitUsage, "accepts 1 arg"},
		"pool set web":                          {exitUsage, "accepts 2 arg"},
		"pool set web 0":                        {exitUsage, "whole number from 1 on"},
		"pool set web 9":                        {exitRefused, "refused: size 9 is outside 1 to 6"},
		"pool pause web --for never":            {exitUsage, "write e.g. 30m"},
		"pool pause web --for 0s":               {exitUsage, "write e.g. 30m"},
		"pool pause web":                        {exitFailed, "failed: journal is full"},
		"stop-all":                              {exitRefused, "the token is wrong (an act needs the token"},
		"stop-all --token-file /does/not/exist": {exitFailed, "flyball keeps it in its data folder"},
		"resume-all":                            {exitFailed, "it points to https://elsewhere.example/"},
	} {
		_, err := s.flyball(t, strings.Fields(line)...)
		if exitCode(err) != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: exit code %d, %v; want %d, %q", line, exitCode(err), err, c.code, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the token: %v", line, err)
		}
	}
	if exitCode(nil) != 0 {
		t.Errorf("no error has exit code %d", exitCode(nil))
	}
}

func TestACertificateThatIsTrustedLetsTheClientIn(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })) //nolint:errcheck // the test sees it
	s.Config.ErrorLog = log.New(io.Discard, "", 0)                                                                               // it would tell of the client that does not trust it
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(s.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"FLYBALL_ADDRESS": s.URL}
	if _, err := command(t, env, "status", "--ca-file", ca); err != nil {
		t.Error(err)
	}
	if _, err := command(t, env, "status"); exitCode(err) != exitUnreachable {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func TestPoolsAreCompleted(t *testing.T) {
	s := newService(t)
	s.answers["GET /status"] = status()
	for _, line := range []string{"explain", "status", "pool set", "pool pause", "pool resume", "pool roll"} {
		got, err := s.flyball(t, append(append([]string{cobra.ShellCompNoDescRequestCmd}, strings.Fields(line)...), "")...)
		if err != nil || !strings.HasPrefix(got, "api\nweb\n:4") {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
