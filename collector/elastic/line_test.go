package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/setup"
	"flyball/rules"
	"flyball/scaler/journal"
)

func TestAServerThatCannotDoItIsAskedRarely(t *testing.T) {
	passing, lacking := errors.New("connection refused"), fmt.Errorf("set up: %w: version 7.17.0", setup.ErrServer)
	for _, c := range []struct {
		before time.Duration
		err    error
		want   time.Duration
	}{
		{0, passing, time.Second},
		{time.Second, passing, 2 * time.Second},
		{20 * time.Second, passing, 30 * time.Second},
		{30 * time.Second, passing, 30 * time.Second},
		{0, lacking, 5 * time.Minute},
		{30 * time.Second, lacking, 5 * time.Minute},
		{5 * time.Minute, passing, 30 * time.Second},
	} {
		if got := patience(c.before, c.err); got != c.want {
			t.Errorf("after %s and %v: %s, want %s", c.before, c.err, got, c.want)
		}
	}
}

// reached is a connection to a server of our own.
func reached(t *testing.T, serve http.HandlerFunc) *cluster.Cluster {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	es, err := cluster.New(cluster.Config{URLs: []string{server.URL}}, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	return es
}

func TestAServerThatIsTooOldIsToldWithWhatToDoAndWhenItIsAskedAgain(t *testing.T) {
	es := reached(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"cluster_name": "old", "version": {"number": "7.17.0"}}`)) // the client may have gone
	})
	l := &Line{cluster: es, o: Options{Log: slog.New(slog.DiscardHandler)}, unready: "not asked yet"}
	reg := prometheus.NewRegistry()
	s := &Shipper{}
	reg.MustRegister(newReadiness(s))
	if n, err := testutil.GatherAndCount(reg); n != 0 || err != nil {
		t.Errorf("without an Elasticsearch there are %d metrics: %v", n, err)
	}
	s.line = l
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan bool, 1)
	go func() {
		_, ok := l.setUp(ctx)
		done <- ok
	}()
	deadline := time.Now().Add(10 * time.Second)
	told := func() (string, time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.unready, l.again
	}
	why, again := told()
	for again.IsZero() && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
		why, again = told()
	}
	if !strings.Contains(why, "upgrade it to 8.14") || time.Until(again) < 4*time.Minute {
		t.Errorf("the status says %q, again at %s", why, again)
	}
	if got := testutil.ToFloat64(newReadiness(s)); got != 0 {
		t.Errorf("ready is %g", got)
	}
	cancel()
	if <-done {
		t.Error("the templates stand on a server that is too old")
	}
	l.stands(setup.Report{}, nil, time.Time{})
	if got := testutil.ToFloat64(newReadiness(s)); got != 1 {
		t.Errorf("once the templates stand, ready is %g", got)
	}
}

func TestWhatDatasetsAreGivenUpForIsInTheJournal(t *testing.T) {
	j, err := journal.Open(t.TempDir(), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	l := &Line{o: Options{Journal: j, Log: slog.New(slog.DiscardHandler)}}
	l.config.Namespace = "shop"
	from := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	l.skipped(from, from.Add(90*time.Minute))
	es, err := j.Entries(journal.Filter{Kinds: []journal.Kind{journal.Ship}})
	if err != nil || len(es) != 1 {
		t.Fatalf("%d entries, %v", len(es), err)
	}
	var got journal.Trouble
	if err := json.Unmarshal(es[0].Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.What != "lost" || got.To != "metrics-*-shop" || !strings.Contains(got.Text, "1h30m0s") || !got.From.Equal(from) || got.Until.Sub(from) != 90*time.Minute {
		t.Errorf("%+v", got)
	}
}

func TestDoctorFindsDeadLetters(t *testing.T) {
	dir, at := t.TempDir(), time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	c := Config{Config: cluster.Config{URLs: []string{"http://127.0.0.1:1"}}}
	last := func() rules.Finding {
		t.Helper()
		fs, err := Check(t.Context(), c, dir, "test", at)
		if err != nil || len(fs) != 2 || fs[0].OK {
			t.Fatalf("%+v, %v", fs, err)
		}
		return fs[1]
	}
	if f := last(); !f.OK || f.Text != "there are none" {
		t.Errorf("without any: %+v", f)
	}
	file := filepath.Join(dir, "dead-letters.ndjson")
	text := "{}\n" + `{"at": "2026-11-20T09:50:00Z", "stream": "metrics-a-b", "refusal": {"type": "document_parsing_exception", "reason": "no number"}, "document": {}}` + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "2 in " + file + ", the newest 10m0s ago, for metrics-a-b: document_parsing_exception: no number"
	if f := last(); f.OK || f.Text != want || !strings.Contains(f.Hint, "remove the file") {
		t.Errorf("%+v, want %q", f, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if f := last(); f.OK || f.Hint == "" {
		t.Errorf("of a file that cannot be read: %+v", f)
	}
}

// described are the metrics that were registered, as their descriptions tell them.
type described struct {
	prometheus.Registerer
	all map[string]string
}

func (d described) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		out := make(chan *prometheus.Desc, 10)
		c.Describe(out)
		close(out)
		for desc := range out {
			name, _, _ := strings.Cut(strings.TrimPrefix(desc.String(), `Desc{fqName: "`), `"`)
			d.all[name] = desc.String()
		}
	}
}

func TestShippedAlertsAreAboutMetricsThatThereAre(t *testing.T) {
	rules, err := os.ReadFile("../../rules/shipped/elastic.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := described{all: map[string]string{}}
	New(Options{Metrics: d})
	named := regexp.MustCompile(`flyball_elastic_\w+`).FindAllString(string(rules), -1)
	for _, name := range named {
		if d.all[name] == "" {
			t.Errorf("%s is no metric", name)
		}
	}
	if len(named) < 10 {
		t.Errorf("only %q are named", named)
	}
	for name, labels := range map[string]string{
		"flyball_elastic_dead_letters_total": "{stream,reason}",
		"flyball_elastic_lost_seconds_total": "{reason}",
		"flyball_elastic_retries_total":      "{reason}",
	} {
		if !strings.Contains(d.all[name], labels) {
			t.Errorf("%s is %s, want the labels %s", name, d.all[name], labels)
		}
	}
}
