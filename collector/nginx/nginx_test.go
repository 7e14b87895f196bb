package nginx

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
)

// A server is a real nginx of one test.
type server struct {
	cmd  *exec.Cmd
	dir  string
	addr string
}

// start starts an nginx with a page for all and one for eve, whose password is
// s3cret.
func start(t *testing.T) *server {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is missing")
		}
		t.Skip("nginx is missing: apt-get install nginx-light")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir(), addr: l.Addr().String()}
	_ = l.Close()
	s.write(t, "users", "eve:{PLAIN}s3cret\n")
	if err := os.Chmod(s.dir, 0o755); err != nil { // the workers are another user
		t.Fatal(err)
	}
	s.write(t, "nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
    server {
        listen %[2]s;
        location = /stub_status { stub_status; }
        location = /private { stub_status; auth_basic x; auth_basic_user_file %[1]s/users; }
        location = /forbidden { deny all; }
        location / { return 200 "something else\n"; }
    }
}`, s.dir, s.addr))
	s.run(t, path)
	t.Cleanup(s.kill)
	return s
}

func (s *server) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run starts the program and waits until it serves.
func (s *server) run(t *testing.T, path string) {
	t.Helper()
	s.cmd = exec.Command(path, "-p", s.dir, "-e", s.dir+"/log", "-c", s.dir+"/nginx.conf")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	t.Fatalf("nginx does not serve: %s", log)
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func watch(t *testing.T, c Config) *exporter.Exporter {
	t.Helper()
	c.Name = "web"
	if ms := c.Validate(); len(ms) > 0 {
		t.Fatal(ms)
	}
	e, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// scrape reads a target once: its numbers by name and the values of labels.
func scrape(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

func TestARealNginxTellsWhatItDoes(t *testing.T) {
	s := start(t)
	e := watch(t, Config{URL: "http://" + s.addr + "/stub_status"})
	first := scrape(t, e)
	for range 5 {
		resp, err := http.Get("http://" + s.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	got := scrape(t, e)
	http.DefaultClient.CloseIdleConnections()
	for name, want := range map[string]float64{
		"nginx_up": 1, "nginx_part_up stub_status": 1,
		"nginx_connections_active": 2, "nginx_connections_waiting": 1, "nginx_connections_writing": 1, "nginx_connections_reading": 0,
		"nginx_connections_accepted": first["nginx_connections_accepted"] + 2, // ours, and a kept one
		"nginx_connections_handled":  first["nginx_connections_handled"] + 2,
		"nginx_http_requests_total":  first["nginx_http_requests_total"] + 6,
	} {
		if v, told := got[name]; !told || v != want {
			t.Errorf("%s is %v (told: %v), want %v", name, v, told, want)
		}
	}
}

func TestWhatIsWrongHasItsReason(t *testing.T) {
	s := start(t)
	password := func(text string) string {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, tt := range []struct{ path, username, file, down, part string }{
		{path: "/stub_status"},
		{path: "/private", username: "eve", file: password("s3cret")},
		{path: "/private", username: "eve", file: password("secret"), down: exporter.Denied},
		{path: "/private", down: exporter.Denied},
		{path: "/forbidden", down: exporter.Permission},
		{path: "/", part: exporter.Protocol},
	} {
		e := watch(t, Config{URL: "http://" + s.addr + tt.path, Username: tt.username, PasswordFile: tt.file})
		got := scrape(t, e)
		if tt.down != "" && got["nginx_down "+tt.down] != 1 || (tt.down == "") != (got["nginx_up"] == 1) {
			t.Errorf("%s as %q: %v, want %q", tt.path, tt.username, got, tt.down)
		}
		if tt.part != "" && got["nginx_part_down stub_status "+tt.part] != 1 {
			t.Errorf("%s: %v, want %q", tt.path, got, tt.part)
		}
		if st := e.Status(); st.Down != nil && strings.Contains(st.Down.Error(), "secret") {
			t.Errorf("%v tells the password", st.Down)
		}
	}
}

func TestAnNginxThatDiesOrHangsIsDownAtTheNextScrapeAndComesBack(t *testing.T) {
	s := start(t)
	e := watch(t, Config{URL: "http://" + s.addr + "/stub_status", Timeout: time.Second})
	want := func(what string, up float64, reason string) {
		t.Helper()
		got := scrape(t, e)
		if got["nginx_up"] != up || reason != "" && got["nginx_down "+reason] != 1 {
			t.Errorf("%s: %v", what, got)
		}
	}
	want("started", 1, "")
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	want("frozen", 0, exporter.Timeout)
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	want("thawed", 1, "")
	path := s.cmd.Path
	s.kill()
	want("killed", 0, exporter.Refused)
	s.run(t, path)
	want("started again", 1, "")
}

func TestAThousandTargetsThatComeAndGoLeaveNothing(t *testing.T) {
	s := start(t)
	url := "http://" + s.addr + "/stub_status"
	cycle := func() {
		e := watch(t, Config{URL: url})
		scrape(t, e)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 1000 {
		cycle()
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

func TestAMistakeIsNamed(t *testing.T) {
	for _, tt := range []struct {
		c     Config
		field string
	}{
		{Config{URL: "http://web/stub_status"}, ""},
		{Config{}, ".url"},
		{Config{URL: "http://web/", Username: "eve"}, ".username"},
		{Config{URL: "http://web/", Timeout: time.Hour}, ".timeout"},
	} {
		ms := tt.c.Validate()
		if len(ms) > 1 || (tt.field == "") != (len(ms) == 0) || len(ms) == 1 && ms[0].Field != tt.field {
			t.Errorf("%+v: got %v, want %q", tt.c, ms, tt.field)
		}
	}
	c := Config{PasswordFile: "password"}
	c.Resolve("/etc/flyball")
	if c.PasswordFile != "/etc/flyball/password" {
		t.Errorf("the password is in %s", c.PasswordFile)
	}
}

func TestTheTableHasEveryMetric(t *testing.T) {
	for _, want := range []string{
		"| `nginx_up` | gauge |", "| `nginx_connections_accepted` | counter |", "| `nginx_http_requests_total` | counter |",
		"| `nginx_connections_waiting` | gauge |",
	} {
		if !strings.Contains(Table(), want) {
			t.Errorf("no %s in\n%s", want, Table())
		}
	}
}

func TestTheShippedRulesNameOnlyMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../rules/shipped/nginx.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bnginx_[a-z0-9_]+`).FindAllString(string(text), -1)
	if len(names) == 0 {
		t.Fatal("the rules name no metrics")
	}
	for _, name := range names {
		if !strings.Contains(Table(), "| `"+name+"` |") {
			t.Errorf("there is no %s", name)
		}
	}
}

// recorded is what nginx 1.22 says.
const recorded = "Active connections: 1 \nserver accepts handled requests\n 12 11 31 \nReading: 0 Writing: 1 Waiting: 3 \n"

func TestAPageIsReadWholeOrNotAtAll(t *testing.T) {
	got, err := parse(recorded)
	if want := []float64{1, 12, 11, 31, 0, 1, 3}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for i := range len(recorded) - 1 {
		if got, err := parse(recorded[:i]); err == nil || exporter.Reason(err) != exporter.Protocol {
			t.Errorf("broken off after %q: got %v, %v", recorded[:i], got, err)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add(recorded)
	f.Add(strings.ReplaceAll(recorded, "\n", "\r\n"))
	f.Add(strings.Replace(recorded, "31", strings.Repeat("9", 400), 1))
	f.Add("<html><body>It works</body></html>")
	f.Fuzz(func(t *testing.T, page string) {
		got, err := parse(page)
		if err != nil {
			if got != nil || exporter.Reason(err) != exporter.Protocol {
				t.Errorf("got %v, %v", got, err)
			}
			return
		}
		if len(got) != 7 {
			t.Errorf("%d numbers", len(got))
		}
		for _, v := range got {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				t.Errorf("%v was counted", v)
			}
		}
	})
}
