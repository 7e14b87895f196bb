package haproxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"flyball/collector/exporter"
	"flyball/deploy/testservers"
)

const defaults = `
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    timeout queue 30s
`

func TestServersThatNobodyChecksAreToldAndFreeSlotsAreNot(t *testing.T) {
	h := testservers.StartHAProxy(t, fmt.Sprintf(defaults+`
backend app
    option httpchk GET /
    server checked %[1]s check inter 100ms
    server gone 127.0.0.1:1 check inter 100ms
    server blind %[1]s
    server agent %[1]s agent-check agent-port 1 agent-inter 100ms
    server spare %[1]s backup
    server weightless %[1]s weight 0
    server drained %[1]s
    server repaired %[1]s disabled
    server-template slot 1-200 127.0.0.1:80 check disabled
`, web(t)))
	e := watch(t, Config{Socket: h.Socket()})
	h.Runtime(t, "set server app/drained state drain")
	r := until(t, e, "the states", func(r reading) bool {
		return r["haproxy_server_status{proxy=app,server=gone,state=DOWN}"] == 1 &&
			r["haproxy_server_check_status{proxy=app,server=checked,state=L7OK}"] == 1 &&
			r["haproxy_server_check_code{proxy=app,server=checked}"] == 200
	})
	missing := func(server string) string {
		return "haproxy_server_check_missing{proxy=app,server=" + server + "}"
	}
	r.wants(t, map[string]float64{
		missing("checked"): 0, missing("gone"): 0, missing("weightless"): 0, missing("drained"): 0,
		missing("blind"): 1, missing("agent"): 1, missing("spare"): 1,
		"haproxy_server_status{proxy=app,server=checked,state=UP}":       1,
		"haproxy_server_status{proxy=app,server=checked,state=DOWN}":     0,
		"haproxy_server_status{proxy=app,server=blind,state=UP}":         1,
		"haproxy_server_status{proxy=app,server=drained,state=DRAIN}":    1,
		"haproxy_server_status{proxy=app,server=repaired,state=MAINT}":   1,
		"haproxy_server_check_status{proxy=app,server=gone,state=L4CON}": 1,
		"haproxy_server_check_code{proxy=app,server=checked}":            200,
		"haproxy_backend_agg_server_status{proxy=app,state=MAINT}":       201,
		"haproxy_backend_agg_server_status{proxy=app,state=UP}":          5,
		"haproxy_backend_servers_expected{proxy=app}":                    5,
		"haproxy_backend_servers_left{proxy=app}":                        4,
		"haproxy_backend_status{proxy=app,state=UP}":                     1,
	})
	slots := 0
	for name := range r {
		if strings.Contains(name, "server=slot") || strings.Contains(name, "server=repaired") {
			slots++
		}
	}
	if slots != 201 {
		t.Errorf("201 servers in maintenance have %d series", slots)
	}
}

func TestABackendWithOneServerLeftIsTold(t *testing.T) {
	dying := httptest.NewServer(http.NotFoundHandler())
	defer dying.Close()
	h := testservers.StartHAProxy(t, fmt.Sprintf(defaults+`
backend app
    server stays %s check inter 100ms
    server dies %s check inter 100ms
    server-template slot 1-5 127.0.0.1:80 check disabled
backend single
    server only %[1]s check inter 100ms
backend none
    server-template slot 1-5 127.0.0.1:80 check disabled
`, web(t), dying.Listener.Addr()))
	e := watch(t, Config{Socket: h.Socket()})
	left := func(expected, left float64) func(reading) bool {
		return func(r reading) bool {
			return r["haproxy_backend_servers_expected{proxy=app}"] == expected && r["haproxy_backend_servers_left{proxy=app}"] == left
		}
	}
	until(t, e, "two of two", left(2, 2)).wants(t, map[string]float64{
		"haproxy_backend_servers_expected{proxy=single}": 1, "haproxy_backend_servers_left{proxy=single}": 1,
		"haproxy_backend_servers_expected{proxy=none}": 0, "haproxy_backend_servers_left{proxy=none}": 0,
	})
	dying.Close()
	until(t, e, "one of two", left(2, 1))
	h.Runtime(t, "set server app/dies state maint")
	until(t, e, "one of one, as somebody knows", left(1, 1))
	h.Runtime(t, "set server app/stays state maint")
	until(t, e, "none", left(0, 0)).wants(t, map[string]float64{"haproxy_backend_status{proxy=app,state=DOWN}": 1})
}

// hold is a server that answers nobody until it is let go.
func hold(t *testing.T) (addr string, letGo func()) {
	t.Helper()
	end := make(chan bool)
	var once sync.Once
	letGo = func() { once.Do(func() { close(end) }) }
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	t.Cleanup(func() { letGo(); s.Close() })
	return s.Listener.Addr().String(), letGo
}

func TestSessionsNearTheirLimitAreToldUnderLoad(t *testing.T) {
	addr, letGo := hold(t)
	other, _ := hold(t)
	h := testservers.StartHAProxy(t, fmt.Sprintf(defaults+`
frontend web
    bind 127.0.0.1:{{port "web"}}
    maxconn 10
    default_backend app
backend app
    server one %[1]s maxconn 4
    server two %[1]s maxconn 4
    server resting %[2]s maxconn 4 disabled
backend open
    server one %[1]s maxconn 4
    server two %[1]s
`, addr, other))
	h.Runtime(t, "set maxconn global 40")
	e := watch(t, Config{Socket: h.Socket()})
	scrape(t, e).wants(t, map[string]float64{
		"haproxy_frontend_session_utilisation_ratio{proxy=web}":           0,
		"haproxy_backend_session_utilisation_ratio{proxy=app}":            0,
		"haproxy_server_session_utilisation_ratio{proxy=app,server=one}":  0,
		"haproxy_server_session_utilisation_ratio{proxy=open,server=one}": 0,
		"haproxy_process_max_connections{}":                               40,
	})
	var clients sync.WaitGroup
	for range 9 {
		clients.Go(func() { get(t, "http://"+h.Addr("web")+"/") })
	}
	r := until(t, e, "nine sessions", func(r reading) bool {
		return r["haproxy_process_current_connections{}"] >= 9 && r["haproxy_frontend_current_sessions{proxy=web}"] == 9 && r["haproxy_backend_current_queue{proxy=app}"] == 1
	})
	r.wants(t, map[string]float64{
		"haproxy_frontend_session_utilisation_ratio{proxy=web}":          0.9,
		"haproxy_backend_session_utilisation_ratio{proxy=app}":           1,
		"haproxy_server_session_utilisation_ratio{proxy=app,server=one}": 1,
		"haproxy_server_session_utilisation_ratio{proxy=app,server=two}": 1,
		"haproxy_server_limit_sessions{proxy=app,server=one}":            4,
	})
	r.never(t, "haproxy_backend_session_utilisation_ratio{proxy=open}", "haproxy_server_session_utilisation_ratio{proxy=open,server=two}")
	if got := r["haproxy_process_connection_utilisation_ratio{}"]; got < 9.0/40 || got > 11.0/40 {
		t.Errorf("nine connections and a look, of 40, are %v", got)
	}

	h.Runtime(t, "set server app/one state maint")
	r = scrape(t, e)
	r.wants(t, map[string]float64{
		"haproxy_server_status{proxy=app,server=one,state=MAINT}": 1,
		"haproxy_server_current_sessions{proxy=app,server=one}":   4, // a server in maintenance that still serves
		"haproxy_backend_session_utilisation_ratio{proxy=app}":    1,
	})
	r.never(t, "haproxy_server_sessions_total{proxy=app,server=one}")
	letGo()
	clients.Wait()
	until(t, e, "rest", func(r reading) bool {
		_, told := r["haproxy_server_current_sessions{proxy=app,server=one}"]
		return !told && r["haproxy_frontend_session_utilisation_ratio{proxy=web}"] == 0
	})
}

const small = defaults + `
global
    stats socket {{.Dir}}/user.sock mode 600 level user
    stats socket {{.Dir}}/closed.sock mode 000 level admin
frontend web
    bind 127.0.0.1:{{port "web"}}
    http-request return status 200
frontend stats
    bind 127.0.0.1:{{port "stats"}}
    stats enable
    stats uri /stats
    stats auth eve:s3cret
`

func TestWhatHappensToHAProxyIsToldByTheNextScrape(t *testing.T) {
	h := testservers.StartHAProxy(t, small)
	targets := map[string]*exporter.Exporter{
		"socket": watch(t, Config{Socket: h.Socket(), Timeout: time.Second}),
		"page":   watch(t, Config{URL: "http://" + h.Addr("stats") + "/stats", Username: "eve", PasswordFile: password(t, "s3cret"), Timeout: time.Second}),
	}
	serves := func(what string, requests float64) {
		t.Helper()
		for way, e := range targets {
			// A busy machine may take longer than the timeout.
			r := until(t, e, what+", by its "+way, func(r reading) bool {
				return r["haproxy_up{}"] == 1 && r["haproxy_frontend_http_requests_total{proxy=web}"] == requests
			})
			r.never(t, "haproxy_down{")
		}
	}
	down := func(what, reason string) {
		t.Helper()
		for way, e := range targets {
			r := scrape(t, e)
			if r["haproxy_down{reason="+reason+"}"] != 1 {
				t.Errorf("%s, by its %s: %v", what, way, r)
			}
			r.wants(t, map[string]float64{"haproxy_up{}": 0})
			r.never(t, "haproxy_frontend_")
		}
	}
	get(t, "http://"+h.Addr("web")+"/")
	serves("started", 1)
	h.Freeze(t)
	down("frozen", exporter.Timeout)
	h.Thaw(t)
	serves("thawed", 1)
	h.Reload(t)
	serves("reloaded", 0)
	get(t, "http://"+h.Addr("web")+"/")
	serves("reloaded and used", 1)
	h.Kill(t)
	down("killed", exporter.Refused)
	h.Restart(t)
	serves("started again", 0)
}

// password is a file with a password.
func password(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhoMayNotSeeIsToldWhyAndNoSecret(t *testing.T) {
	h := testservers.StartHAProxy(t, small)
	stats := "http://" + h.Addr("stats")
	for _, tt := range []struct {
		name, reason string
		c            Config
	}{
		{"the right password", "", Config{URL: stats + "/stats", Username: "eve", PasswordFile: password(t, "s3cret")}},
		{"another password", exporter.Denied, Config{URL: stats + "/stats", Username: "eve", PasswordFile: password(t, "s3kret")}},
		{"no password", exporter.Denied, Config{URL: stats + "/stats;csv"}},
		{"no such page", exporter.Missing, Config{URL: stats + "/statistics"}},
		{"no page at all", exporter.Protocol, Config{URL: "http://" + h.Addr("web") + "/stats"}},
		{"a socket for reading only", "", Config{Socket: h.Dir() + "/user.sock"}},
		{"no socket", exporter.Refused, Config{Socket: h.Dir() + "/nobody.sock"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := watch(t, tt.c)
			r := scrape(t, e)
			if tt.reason == "" {
				r.wants(t, map[string]float64{"haproxy_up{}": 1, "haproxy_part_up{part=stats}": 1, "haproxy_frontend_status{proxy=web,state=UP}": 1})
				r.never(t, "haproxy_down{", "haproxy_part_down{")
			} else if r["haproxy_down{reason="+tt.reason+"}"]+r["haproxy_part_down{part=stats,reason="+tt.reason+"}"] != 1 {
				t.Errorf("got %v, want the reason %s", r, tt.reason)
			}
			if st := e.Status(); st.Down != nil && (strings.Contains(st.Down.Error(), "s3") || tt.reason == "") {
				t.Errorf("got %v", st.Down)
			}
		})
	}
}

func TestASocketThatMayNotBeOpenedIsAMatterOfPermission(t *testing.T) {
	h := testservers.StartHAProxy(t, small)
	e := watch(t, Config{Socket: h.Dir() + "/closed.sock"})
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if os.Getuid() == 0 {
			_, _ = unix.SetfsuidRetUid(65534) // root may open anything
		}
		e.Collect(make(chan prometheus.Metric, 10))
	}()
	<-done
	if err := e.Status().Down; exporter.Reason(err) != exporter.Permission {
		t.Errorf("got %v", err)
	}
}

func TestAThousandTargetsThatComeAndGoLeaveNothing(t *testing.T) {
	h := testservers.StartHAProxy(t, small)
	file := password(t, "s3cret")
	cycle := func(i int) {
		c := Config{Socket: h.Socket()}
		if i%2 == 1 {
			c = Config{URL: "http://" + h.Addr("stats") + "/stats", Username: "eve", PasswordFile: file}
		}
		e := watch(t, c)
		if r := scrape(t, e); r["haproxy_up{}"] != 1 {
			t.Fatalf("got %v", r)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle(0)
	cycle(1)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for i := range 1000 {
		cycle(i)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines || openFiles(t) > files; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d files, at first %d and %d", runtime.NumGoroutine(), openFiles(t), goroutines, files)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func BenchmarkScrapeOfARealThousandServers(b *testing.B) {
	h := testservers.StartHAProxy(b, defaults+`
frontend stats
    bind 127.0.0.1:{{port "stats"}}
    stats enable
    stats uri /stats
backend app
    server-template s 1-1000 127.0.0.1:9
`)
	for way, c := range map[string]Config{"socket": {Socket: h.Socket()}, "page": {URL: "http://" + h.Addr("stats") + "/stats"}} {
		b.Run(way, func(b *testing.B) {
			e := watch(b, c)
			out := make(chan prometheus.Metric, 200_000)
			told := 0
			for b.Loop() {
				e.Collect(out)
				for told = 0; len(out) > 0; told++ {
					<-out
				}
			}
			b.ReportMetric(float64(told), "numbers")
		})
	}
}
