package haproxy

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"flyball/deploy/testservers"
)

// nativeConfig has all kinds of rows: servers in every state, TCP and HTTP, a
// limit, a cache, compression, and HAProxy's own exporter beside them.
const nativeConfig = `
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
cache small
    total-max-size 4
    max-age 60
frontend web
    bind 127.0.0.1:{{port "web"}}
    maxconn 100
    rate-limit sessions 1000
    http-request deny if { path /denied }
    http-request cache-use small if { path /cached }
    http-request set-var(txn.path) path
    http-response cache-store small if { var(txn.path) -m str /cached }
    filter cache small
    filter compression
    compression algo gzip
    compression type text/plain
    default_backend app
backend app
    option httpchk GET /
    server up %[1]s check inter 100ms maxconn 5
    server down 127.0.0.1:1 check inter 100ms
    server unchecked %[1]s
    server drained %[1]s check inter 100ms
    server agent %[1]s check inter 100ms agent-check agent-port 1 agent-inter 100ms
    server follows %[1]s track app/down
    server-template slot 1-3 127.0.0.1:80 check disabled
frontend raw
    mode tcp
    bind 127.0.0.1:{{port "raw"}}
    default_backend tcp
backend tcp
    mode tcp
    server first %[1]s check inter 100ms
    server spare %[1]s check inter 100ms backup
frontend closed
    bind 127.0.0.1:{{port "closed"}}
backend nobody
frontend native
    bind 127.0.0.1:{{port "native"}}
    stats enable
    stats uri /stats
    http-request use-service prometheus-exporter if { path /metrics }
`

// ours are the metrics that HAProxy's own exporter does not have.
func ours() []string {
	return []string{
		"haproxy_up", "haproxy_part_up", "haproxy_part_duration_seconds",
		"haproxy_server_check_missing", "haproxy_backend_servers_expected", "haproxy_backend_servers_left",
		"haproxy_process_connection_utilisation_ratio", "haproxy_frontend_session_utilisation_ratio",
		"haproxy_backend_session_utilisation_ratio", "haproxy_server_session_utilisation_ratio",
	}
}

// leftOut are HAProxy's own metrics that we never tell.
func leftOut() []string {
	return []string{
		"haproxy_backend_agg_check_status",        // sum by (proxy, state) (haproxy_server_check_status)
		"haproxy_backend_agg_server_check_status", // the same as haproxy_backend_agg_server_status, under its old name
		"haproxy_process_current_zlib_memory",     // NaN, as HAProxy is not built with zlib
		"haproxy_process_max_zlib_memory",         // likewise
		"haproxy_listener_*",                      // only where socket-stats is on, and the frontend has them in sum
	}
}

// unsteady are numbers that are not between those of a look before and a look
// after, and why.
func unsteady() map[string]string {
	return map[string]string{
		"haproxy_process_current_connections":     "the look itself is one",
		"haproxy_process_current_connection_rate": "of the last second",
		"haproxy_process_current_session_rate":    "of the last second",
		"haproxy_process_current_tasks":           "a look makes some",
		"haproxy_process_current_run_queue":       "of this moment",
		"haproxy_process_idle_time_percent":       "of the last second",
		"haproxy_process_jobs":                    "the look itself is one",
		"haproxy_process_bytes_out_rate":          "of the last second",
		"haproxy_process_pool_allocated_bytes":    "a look allocates",
		"haproxy_process_pool_used_bytes":         "a look allocates",
		"haproxy_frontend_current_sessions":       "the look itself is one",
		"haproxy_server_check_duration_seconds":   "checks go on",
		"haproxy_server_check_code":               "checks go on: while one is under way its own exporter says 0",
		// Its own exporter takes the mean over another number of requests than show stat.
		"haproxy_server_total_time_average_seconds":     "another mean",
		"haproxy_server_response_time_average_seconds":  "another mean",
		"haproxy_server_connect_time_average_seconds":   "another mean",
		"haproxy_server_queue_time_average_seconds":     "another mean",
		"haproxy_backend_total_time_average_seconds":    "another mean",
		"haproxy_backend_response_time_average_seconds": "another mean",
		"haproxy_backend_connect_time_average_seconds":  "another mean",
		"haproxy_backend_queue_time_average_seconds":    "another mean",
	}
}

func TestEveryMetricIsHAProxysOwnWithItsTypeAndValue(t *testing.T) {
	h := testservers.StartHAProxy(t, fmt.Sprintf(nativeConfig, web(t)))
	e := watch(t, Config{Socket: h.Socket()})
	h.Runtime(t, "set server app/drained state drain")
	h.Runtime(t, "shutdown frontend closed")
	until(t, e, "every server's state", func(r reading) bool {
		return r["haproxy_server_status{proxy=app,server=down,state=DOWN}"] == 1 &&
			r["haproxy_server_check_status{proxy=tcp,server=spare,state=L4OK}"] == 1 &&
			r["haproxy_server_status{proxy=app,server=drained,state=DRAIN}"] == 1
	})
	for range 3 {
		for _, path := range []string{"/", "/404", "/503", "/302", "/denied", "/cached"} {
			get(t, "http://"+h.Addr("web")+path)
		}
		get(t, "http://"+h.Addr("raw")+"/")
	}

	before := native(t, h)
	told := families(t, e)
	after := native(t, h)
	for name, f := range told {
		if slices.Contains(ours(), name) {
			continue
		}
		if after[name] == nil || after[name].GetType() != f.GetType() {
			t.Errorf("%s is a %s, its own exporter has %v", name, f.GetType(), after[name].GetType())
		}
	}
	between(t, flatten(before), flatten(told), flatten(after))
	complete(t, told, after)
	page := watch(t, Config{URL: "http://" + h.Addr("native") + "/stats"})
	before = native(t, h)
	r := scrape(t, page)
	between(t, flatten(before), r, flatten(native(t, h)))
	r.never(t, "haproxy_process_")
}

// between checks that every number that was told is one of HAProxy's own, and
// lies between those that its own exporter gave before and after.
func between(t *testing.T, before, told, after reading) {
	t.Helper()
	same := 0
	for key, v := range told {
		name, _, _ := strings.Cut(key, "{")
		if slices.Contains(ours(), name) {
			continue
		}
		low, has := before[key]
		high, has2 := after[key]
		switch {
		case !has || !has2:
			t.Errorf("its own exporter has no %s", key)
		case unsteady()[name] != "":
		case v < math.Min(low, high)-1e-6 || v > math.Max(low, high)+1e-6:
			t.Errorf("%s is %v, its own exporter said %v before and %v after", key, v, low, high)
		default:
			same++
		}
	}
	t.Logf("%d of %d numbers are those of its own exporter", same, len(told))
	if same < len(told)/2 {
		t.Errorf("only %d of %d numbers could be compared", same, len(told))
	}
}

// complete checks that what HAProxy's own exporter tells and we do not is what
// we leave out on purpose.
func complete(t *testing.T, told, native map[string]*dto.MetricFamily) {
	t.Helper()
	for name, f := range native {
		listed := slices.Contains(leftOut(), name) || strings.HasPrefix(name, "haproxy_listener_")
		if told[name] != nil && listed {
			t.Errorf("%s is told, and listed as left out", name)
		}
		if told[name] == nil && !listed && !empty(f) && name != "haproxy_server_check_code" { // all checks may be under way
			t.Errorf("%s is not told", name)
		}
		if told[name] != nil {
			numbers(t, told[name], f)
		}
	}
}

// numbers checks that all numbers of a metric are there but those of servers in
// maintenance and the states in which nothing is.
func numbers(t *testing.T, told, native *dto.MetricFamily) {
	t.Helper()
	have := map[string]bool{}
	for _, m := range told.GetMetric() {
		have[labels(m)] = true
	}
	for _, m := range native.GetMetric() {
		v := m.GetGauge().GetValue() + m.GetCounter().GetValue()
		ls := labels(m)
		switch {
		case have[ls], math.IsNaN(v), strings.Contains(ls, "server=slot"):
		case native.GetName() == "haproxy_server_check_status" && v == 0:
		case native.GetName() == "haproxy_server_check_code": // 0 if there is none, and we leave it out while a check is under way
		default:
			t.Errorf("%s%s is not told, its own exporter says %v", native.GetName(), ls, v)
		}
	}
}

func empty(f *dto.MetricFamily) bool {
	return !slices.ContainsFunc(f.GetMetric(), func(m *dto.Metric) bool {
		return !math.IsNaN(m.GetGauge().GetValue() + m.GetCounter().GetValue())
	})
}

// native is what HAProxy's own exporter tells.
func native(t *testing.T, h *testservers.HAProxy) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get("http://" + h.Addr("native") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.UTF8Validation)
	out, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// get asks for a page on a connection of its own; whatever is answered is fine.
func get(t *testing.T, url string) {
	t.Helper()
	c := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}
