package store

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
)

type noRules struct{}

func (noRules) RuleGroups() []*promrules.Group           { return nil }
func (noRules) AlertingRules() []*promrules.AlertingRule { return nil }

// serve serves a store's API, with what it wrote in of its own.
func serve(t testing.TB, s *Store, reg *prometheus.Registry, text string) *httptest.Server {
	t.Helper()
	sm, err := scrape.NewManager(nil, slog.New(slog.DiscardHandler), nil, nil, s.Appendable(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, text)
	h := s.Handler(APIOptions{
		Targets: sm, Rules: noRules{}, Config: func() *promconfig.Config { return c }, Gatherer: reg, Listen: "127.0.0.1:9480",
		Flags: map[string]string{"dir": s.dir}, Revision: "abc",
	})
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("POST /api/v1/write", s.WriteHandler())
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func get(t *testing.T, target string) (int, string) {
	t.Helper()
	resp, err := http.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheAPIAnswersWhatGrafanaAsksFor(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	now := time.Now()
	put(t, s, now, 7, `own{member="web-1"}`)
	receive(t, s, now, 8, `outside{member="web-2"}`)
	srv := serve(t, s, reg, `scrape_configs: [{job_name: mine}]`)
	for path, want := range map[string]string{
		"query?query=own":                              `"value":[`,
		"query?query=outside":                          `"8"`,
		"query_range?query=own&step=15&start=0&end=10": `"resultType":"matrix"`,
		"labels":                           `"member"`,
		"label/member/values":              `"web-1","web-2"`,
		"series?match[]=own":               `"__name__":"own"`,
		"metadata":                         `"status":"success"`,
		"rules":                            `"groups":[]`,
		"alerts":                           `"alerts":[]`,
		"alertmanagers":                    `"activeAlertmanagers":[]`,
		"targets":                          `"activeTargets":[]`,
		"scrape_pools":                     `"scrapePools"`,
		"query_exemplars?query=own":        `"status":"success"`,
		"format_query?query=sum(own)by(a)": `sum by (a) (own)`,
		"parse_query?query=own":            `vectorSelector`,
		"status/config":                    `job_name: mine`,
		"status/flags":                     `"dir"`,
		"status/runtimeinfo":               `"storageRetention":"15d"`,
		"status/buildinfo":                 `"version":"3.14.0"`,
		"status/tsdb":                      `"numSeries":1`,
		"status/tsdb/blocks":               `"status":"success"`,
		"status/walreplay":                 `"status":"success"`,
		"status/self_metrics":              `prometheus_tsdb_head_series`,
		"targets/metadata":                 `"status":"success"`,
		"features":                         `"promql_functions"`,
	} {
		if code, body := get(t, srv.URL+"/api/v1/"+path); !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
	if code, body := get(t, srv.URL+"/api/v1/query?query=sum("); code != 400 || !strings.Contains(body, "bad_data") {
		t.Errorf("a bad query: %d %s", code, body)
	}
}

func TestTheAPIChangesNothing(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	c := config(t, "")
	h := s.Handler(APIOptions{Rules: noRules{}, Config: func() *promconfig.Config { return c }, Gatherer: reg, Listen: "a:1"})
	for _, path := range []string{"write", "otlp/v1/metrics", "admin/tsdb/delete_series", "admin/tsdb/snapshot", "admin/tsdb/clean_tombstones"} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/api/v1/"+path, strings.NewReader("")))
			if w.Code != http.StatusNotFound {
				t.Errorf("%s %s answers %d, want 404", method, path, w.Code)
			}
		}
	}
}

func TestAPageOfAnotherOriginMayNotRead(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	srv := serve(t, s, reg, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/api/v1/query?query=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://example.com")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 200 || got != "" {
		t.Errorf("answers %d and allows the origin %q", resp.StatusCode, got)
	}
}

func TestTheVersionIsThatOfThePrometheusEmbedded(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/prometheus/prometheus").Output()
	if err != nil {
		t.Skip("no go command:", err)
	}
	// v0.314.0 is the module of version 3.14.0.
	major, minor, patch := 0, 0, 0
	if _, err := fmt.Sscanf(string(out), "v%d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d.%d.%d", minor/100, minor%100, patch); upstream != want {
		t.Errorf("version is %s, want %s", upstream, want)
	}
}

func TestFederationGivesTheNewestSamplesWithTheirOwnTime(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	now := time.Now().Truncate(time.Second)
	put(t, s, now.Add(-time.Minute), 6, `x{member="web-1",site="own"}`)
	put(t, s, now.Add(-time.Second), 7, `x{member="web-1",site="own"}`)
	put(t, s, now.Add(-time.Second), 9, `y{instance="i"}`)
	put(t, s, now.Add(-time.Minute), 1, "gone")
	put(t, s, now.Add(-time.Second), stale, "gone")
	receive(t, s, now.Add(-time.Second), 8, `z{job="outside"}`)
	srv := serve(t, s, reg, `global: {external_labels: {site: ams3}}`)
	code, body := get(t, srv.URL+"/federate?"+url.Values{"match[]": {"{__name__=~'[xz]|gone'}", "y"}}.Encode())
	at := now.Add(-time.Second).UnixMilli()
	want := strings.ReplaceAll(`# TYPE x untyped
x{member="web-1",site="own",instance=""} 7 AT
# TYPE y untyped
y{instance="i",site="ams3"} 9 AT
# TYPE z untyped
z{job="outside",site="ams3",instance=""} 8 AT
`, "AT", fmt.Sprint(at))
	if code != 200 || body != want {
		t.Errorf("%d\n%s\nwant\n%s", code, body, want)
	}
	if code, _ := get(t, srv.URL+"/federate?match[]=sum("); code != 400 {
		t.Errorf("a bad selector answers %d, want 400", code)
	}
	if code, body := get(t, srv.URL+"/federate"); code != 200 || body != "" {
		t.Errorf("no selector answers %d %q", code, body)
	}
}

func TestAClosingStoreAnswersThatItIsNotThere(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	srv := serve(t, s, reg, "")
	s.closed.Store(true)
	if code, _ := get(t, srv.URL+"/api/v1/query?query=up"); code != http.StatusServiceUnavailable {
		t.Errorf("answers %d, want 503", code)
	}
}

func TestPromtoolAsksItLikeAnyPrometheus(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: apt-get install --no-install-recommends prometheus)")
	}
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	put(t, s, time.Now(), 7, `x{member="web-1"}`)
	srv := serve(t, s, reg, "")
	for _, c := range []struct{ args, want string }{
		{"query instant URL x", `x{member="web-1"} => 7`},
		{"query labels URL member", "web-1"},
		{"query series URL --match x", `{__name__="x", member="web-1"}`},
		{"query range URL x", `x{member="web-1"} =>`},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "URL", srv.URL))
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("promtool %s: %v\n%s\nwant %s", c.args, err, out, c.want)
		}
	}
}
