package haproxy

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"flyball/collector/exporter"
)

// recorded is what HAProxy 2.6 answered: stat.csv to `show stat` and info.txt to
// `show info`, each without the empty line at its end. There are descriptions of
// several lines in both.
func recorded(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// saying is an exporter of a HAProxy that answers with these texts.
func saying(info, stat string) *exporter.Exporter {
	p, st := newProcess(), newStats()
	return exporter.New(exporter.Options{Kind: kind, Parts: []exporter.Part{
		{Name: "process", Metrics: p.metrics(), Read: func(_ context.Context, s *exporter.Sink) error { return p.tell(info, s) }},
		{Name: "stats", Metrics: st.metrics(), Read: func(_ context.Context, s *exporter.Sink) error { return st.tell(stat, s) }},
	}})
}

func TestARecordedAnswerIsReadWhole(t *testing.T) {
	tab, err := parseTable(recorded(t, "stat.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range tab.rows {
		got = append(got, tab.at(row, "pxname")+"/"+tab.at(row, "svname")+" "+tab.at(row, "status"))
		if tab.at(row, "svname") == "s" && tab.at(row, "last_chk") != "one\ntwo, \"three\"" {
			t.Errorf("a description of two lines is %q", tab.at(row, "last_chk"))
		}
	}
	want := []string{
		"web/FRONTEND OPEN", "app/up UP", "app/down DOWN", "app/unchecked no check", "app/slot1 MAINT", "app/slot2 MAINT",
		"app/drained DRAIN", "app/agent UP", "app/lines UP", "app/BACKEND UP", "multi/s DOWN", "multi/BACKEND DOWN",
		"tcpb/s1 UP", "tcpb/BACKEND UP", "stats/FRONTEND OPEN",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	r := scrape(t, saying(recorded(t, "info.txt"), recorded(t, "stat.csv")))
	r.wants(t, map[string]float64{
		"haproxy_part_up{part=stats}": 1, "haproxy_part_up{part=process}": 1,
		"haproxy_process_max_connections{}":                             200,
		"haproxy_process_stopping{}":                                    0,
		"haproxy_process_build_info{version=2.6.12-1+deb12u4}":          1,
		"haproxy_server_check_missing{proxy=app,server=unchecked}":      1,
		"haproxy_server_check_missing{proxy=app,server=up}":             0,
		"haproxy_server_check_status{proxy=multi,server=s,state=L7STS}": 1,
		"haproxy_server_limit_sessions{proxy=app,server=up}":            2,
		"haproxy_backend_http_responses_total{code=2xx,proxy=app}":      6,
		"haproxy_server_last_session_seconds{proxy=multi,server=s}":     -1,
		"haproxy_server_status{proxy=app,server=slot1,state=MAINT}":     1,
	})
	r.never(t, "{proxy=app,server=slot1}", "haproxy_server_status{proxy=app,server=slot1,state=UP}", "haproxy_server_limit_sessions{proxy=app,server=down}")
}

func TestATableThatBrokeOffIsAnErrorAndNoNumbers(t *testing.T) {
	text := recorded(t, "stat.csv")
	whole, err := parseTable(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		part, err := parseTable(text[:i])
		switch {
		case err != nil && exporter.Reason(err) != exporter.Protocol:
			t.Fatalf("broken off after %q: %v", text[max(0, i-40):i], err)
		case err == nil && (text[i-1] != '\n' || !slices.EqualFunc(part.rows, whole.rows[:len(part.rows)], slices.Equal[[]string])):
			t.Fatalf("broken off after %q: it is read as %v", text[max(0, i-40):i], part.rows)
		}
	}
	// Only the end of the answer tells that a row is not the last.
	half := text[:strings.Index(text, "multi,s")]
	r := socket(t, func(command string, c net.Conn) {
		if strings.HasPrefix(command, "show info") {
			_, _ = io.WriteString(c, recorded(t, "info.txt")+"\n")
			return
		}
		_, _ = io.WriteString(c, half)
	})
	got := scrape(t, watch(t, Config{Socket: r.String()}))
	got.wants(t, map[string]float64{
		"haproxy_up{}": 1, "haproxy_part_up{part=process}": 1,
		"haproxy_part_up{part=stats}": 0, "haproxy_part_down{part=stats,reason=protocol}": 1,
	})
	got.never(t, "haproxy_backend_", "haproxy_server_", "haproxy_frontend_")
}

func TestColumnsAreFoundByTheirNames(t *testing.T) {
	// Fewer than HAProxy 2.6 has, in another order, and one that nobody knows.
	r := scrape(t, saying(recorded(t, "info.txt"), `# type,status,svname,pxname,news,slim,scur,weight,
0,OPEN,FRONTEND,web,"a, ""b""",20,5,,
2,UP 1/3,a,app,,,3,1,
2,MAINT (via x/y),b,app,x,,0,1,
1,UP,BACKEND,app,,10,3,1,
3,OPEN,sock-1,web,,20,5,,
`))
	r.wants(t, map[string]float64{
		"haproxy_part_up{part=stats}":                           1,
		"haproxy_frontend_status{proxy=web,state=UP}":           1,
		"haproxy_frontend_session_utilisation_ratio{proxy=web}": 0.25,
		"haproxy_server_current_sessions{proxy=app,server=a}":   3,
		"haproxy_server_status{proxy=app,server=a,state=UP}":    1,
		"haproxy_server_status{proxy=app,server=b,state=MAINT}": 1,
		"haproxy_backend_limit_sessions{proxy=app}":             10,
		"haproxy_backend_servers_left{proxy=app}":               1,
	})
	r.never(t, "haproxy_frontend_bytes", "sock-1", "haproxy_server_limit_sessions")
}

func TestACellThatIsNoNumberCostsOnlyItself(t *testing.T) {
	r := scrape(t, saying("Name: HAProxy\nMaxconn: many\nCurrConns: 7\n", `# pxname,svname,type,status,scur,slim,stot,
web,FRONTEND,0,OPEN,5,NaN,30,
app,a,2,UP,x,2,4,
app,b,2,ASLEEP,1,2,4,
app,c,2,UP,1,2,0x10,
`))
	r.wants(t, map[string]float64{
		"haproxy_part_up{part=stats}": 0, "haproxy_part_down{part=stats,reason=protocol}": 1,
		"haproxy_part_down{part=process,reason=protocol}": 1, "haproxy_process_current_connections{}": 7,
		"haproxy_frontend_sessions_total{proxy=web}":          30,
		"haproxy_server_limit_sessions{proxy=app,server=a}":   2,
		"haproxy_server_current_sessions{proxy=app,server=c}": 1,
	})
	r.never(t, "haproxy_frontend_limit_sessions", "haproxy_frontend_session_utilisation", "server=b", "haproxy_process_connection_utilisation",
		"haproxy_server_current_sessions{proxy=app,server=a}", "haproxy_server_session_utilisation_ratio{proxy=app,server=a}")
}

func TestWhatIsNoTableSaysWhatItIs(t *testing.T) {
	for _, text := range []string{
		"", "<html><body>HAProxy statistics", "Unknown command: 'show stat'\n", "# pxname,svname\nweb,FRONTEND\n", "# \n",
		"# pxname,svname,type,status\nweb,FRONTEND,0\n", "# pxname,svname,type,status\nweb,\"FRONTEND,0,OPEN\n",
	} {
		if _, err := parseTable(text); exporter.Reason(err) != exporter.Protocol {
			t.Errorf("%q is %v", text, err)
		}
	}
	for _, text := range []string{"", "Name: HAProxy", "Nam", "Name: HAProxy\ndescription: \"x\n"} {
		if _, err := parseInfo(text); exporter.Reason(err) != exporter.Protocol {
			t.Errorf("%q is %v", text, err)
		}
	}
}

func TestADescriptionIsTakenForNothingElse(t *testing.T) {
	info, err := parseInfo("Name: HAProxy\nMaxconn: 5\ndescription: \"one \"\"two\"\"\nStopping: 1\n\nMaxconn: 9\"\nJobs: 3\n")
	if err != nil || info["Maxconn"] != "5" || info["Stopping"] != "" || info["Jobs"] != "3" {
		t.Errorf("got %v, %v", info, err)
	}
}

func TestAnswersThatSayNoAreErrors(t *testing.T) {
	says := "Permission denied\n\n"
	r := socket(t, func(_ string, c net.Conn) { _, _ = io.WriteString(c, says) })
	e := watch(t, Config{Socket: r.String()})
	scrape(t, e).wants(t, map[string]float64{"haproxy_down{reason=permission}": 1})
	says = "Unknown command: 'show info'\n\n" // what the socket of the master says
	scrape(t, e).wants(t, map[string]float64{"haproxy_down{reason=missing}": 1})
}

func TestMistakesOfAConfiguration(t *testing.T) {
	long := "/" + strings.Repeat("a", 120)
	for _, tt := range []struct {
		c     Config
		field string
	}{
		{Config{Socket: "/run/haproxy/admin.sock"}, ""},
		{Config{Socket: "127.0.0.1:9999"}, ""},
		{Config{URL: "http://lb:81/stats"}, ""},
		{Config{URL: "https://lb/stats;csv", Username: "eve", PasswordFile: password(t, "x")}, ""},
		{Config{}, ".socket"},
		{Config{Socket: long}, ".socket"},
		{Config{Socket: "/s", URL: "http://lb/"}, ".url"},
		{Config{URL: "lb:81"}, ".url"},
		{Config{URL: "http://eve:s3cret@lb/"}, ".url"},
		{Config{Socket: "/s", Username: "eve"}, ".username"},
		{Config{URL: "http://lb/", Username: "eve"}, ".username"},
		{Config{Socket: "/s", Timeout: 1}, ".timeout"},
	} {
		ms := tt.c.Validate()
		if len(ms) > 1 || (tt.field == "") != (len(ms) == 0) || len(ms) == 1 && (ms[0].Field != tt.field || ms[0].Hint == "") {
			t.Errorf("%+v: got %v, want %q", tt.c, ms, tt.field)
		}
	}
}

func TestNamesOfFilesAreBelowTheConfiguration(t *testing.T) {
	for in, want := range map[string]string{
		"admin.sock": "/etc/flyball/admin.sock", "unix://admin.sock": "/etc/flyball/admin.sock", "/run/a.sock": "/run/a.sock",
		"127.0.0.1:9999": "127.0.0.1:9999", "@haproxy": "@haproxy", "": "",
	} {
		c := Config{Socket: in, PasswordFile: "password"}
		c.Resolve("/etc/flyball")
		if c.Socket != want || c.PasswordFile != "/etc/flyball/password" {
			t.Errorf("%q is %q, and the password in %s", in, c.Socket, c.PasswordFile)
		}
	}
	for in, want := range map[string]string{
		"http://lb:81/stats": "http://lb:81/stats;csv", "http://lb/stats;csv;norefresh": "http://lb/stats;csv;norefresh", "http://lb": "http://lb/;csv",
	} {
		if got := (Config{URL: in}).page().URL; got != want {
			t.Errorf("%s is read at %s, want %s", in, got, want)
		}
	}
}

func TestTheDocumentationHasEveryMetricThatIsTold(t *testing.T) {
	table := Table()
	for name := range families(t, saying(recorded(t, "info.txt"), recorded(t, "stat.csv"))) {
		if strings.Count(table, "| `"+name+"` |") != 1 {
			t.Errorf("%s is there %d times", name, strings.Count(table, "| `"+name+"` |"))
		}
	}
}

func TestTheShippedRulesNameOnlyMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../rules/shipped/haproxy.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bhaproxy_[a-z0-9_]+`).FindAllString(string(text), -1)
	if len(names) == 0 {
		t.Fatal("the rules name no metrics")
	}
	for _, name := range names {
		if !strings.Contains(Table(), "| `"+name+"` |") {
			t.Errorf("there is no %s", name)
		}
	}
}

func FuzzStatistics(f *testing.F) {
	text := recorded(f, "stat.csv")
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add(strings.ReplaceAll(text, "UP", "UP 1/3"))
	f.Add("# pxname,svname,type,status,scur,slim,hrsp_2xx,\nweb,FRONTEND,0,OPEN,5,1e400,-3,\napp,\"a\n\"\"b\",2,no check,,,,\n")
	st := newStats()
	f.Fuzz(func(t *testing.T, text string) {
		tab, err := parseTable(text)
		if err == nil {
			finite(t, func(s *exporter.Sink) error { return st.tell(text, s) }, st.metrics())
		} else if tab.rows != nil || exporter.Reason(err) != exporter.Protocol {
			t.Fatalf("got %v, %v", tab, err)
		}
	})
}

func FuzzInfo(f *testing.F) {
	f.Add(recorded(f, "info.txt"))
	f.Add("Name: HAProxy\nMaxconn: 5\ndescription: \"one\nStopping: 1\"\n")
	p := newProcess()
	f.Fuzz(func(t *testing.T, text string) {
		info, err := parseInfo(text)
		if err == nil {
			finite(t, func(s *exporter.Sink) error { return p.tell(text, s) }, p.metrics())
		} else if info != nil || exporter.Reason(err) != exporter.Protocol {
			t.Fatalf("got %v, %v", info, err)
		}
	})
}

// finite checks that whatever is told is fit to be told, and a number.
func finite(t *testing.T, tell func(*exporter.Sink) error, metrics []exporter.Metric) {
	t.Helper()
	e := exporter.New(exporter.Options{Kind: kind, Parts: []exporter.Part{{
		Name: "fuzzed", Metrics: metrics, Read: func(_ context.Context, s *exporter.Sink) error { return tell(s) },
	}}})
	out := make(chan prometheus.Metric, 1000)
	go func() {
		defer close(out)
		e.Collect(out)
	}()
	for told := range out {
		var m dto.Metric
		if err := told.Write(&m); err != nil {
			t.Error(err)
		}
		if v := m.GetCounter().GetValue() + m.GetGauge().GetValue(); math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%v is %v", told.Desc(), v)
		}
	}
}

func BenchmarkScrapeOfAThousandServers(b *testing.B) {
	header, rest, _ := strings.Cut(recorded(b, "stat.csv"), "\n")
	server := rest[strings.Index(rest, "app,up,"):strings.Index(rest, "app,down,")]
	text := strings.Builder{}
	text.WriteString(header + "\n")
	for i := range 1000 {
		text.WriteString(strings.Replace(server, "app,up,", fmt.Sprintf("app,up%d,", i), 1))
	}
	e := saying(recorded(b, "info.txt"), text.String())
	out := make(chan prometheus.Metric, 200_000)
	told := 0
	for b.Loop() {
		e.Collect(out)
		for told = 0; len(out) > 0; told++ {
			<-out
		}
	}
	b.ReportMetric(float64(text.Len()), "bytes")
	b.ReportMetric(float64(told), "numbers")
}
