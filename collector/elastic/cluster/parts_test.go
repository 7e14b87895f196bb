package cluster

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWaitsGrowAndAreBounded(t *testing.T) {
	p := usualPace()
	least := backoff{pace: p}
	most := backoff{pace: p}
	last := time.Duration(0)
	for i := range 20 {
		if d := least.next(false, 0, func(int64) int64 { return 0 }); d != p.least {
			t.Errorf("the least wait is %s", d)
		}
		d := most.next(false, 0, func(n int64) int64 { return n - 1 })
		if d < last || d > p.most || i > 8 && d != p.most {
			t.Errorf("after %s at most %s are waited", last, d)
		}
		last = d
	}
	most.reset()
	if d := most.next(false, 0, func(n int64) int64 { return n - 1 }); d > 2*p.least {
		t.Errorf("after something went through %s are waited", d)
	}
	if d := least.next(true, 0, func(int64) int64 { return 0 }); d != p.slow {
		t.Errorf("where somebody must mend something %s are waited", d)
	}
	if d := least.next(false, time.Minute, dice); d != time.Minute {
		t.Errorf("where the server asks for a minute, %s are waited", d)
	}
	if d := least.next(false, time.Hour, dice); d != p.asked {
		t.Errorf("where the server asks for an hour, %s are waited", d)
	}
}

func TestSamplesWaitForEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lanes
		l.enter(Samples)
		if err := l.pass(t.Context(), Samples); err != nil {
			t.Fatal(err)
		}
		l.enter(Events)
		l.enter(Events)
		passed := make(chan error, 1)
		go func() { passed <- l.pass(t.Context(), Samples) }()
		if err := l.pass(t.Context(), Events); err != nil {
			t.Fatal(err)
		}
		l.leave(Events)
		synctest.Wait()
		if len(passed) > 0 {
			t.Error("samples pass while events are under way")
		}
		l.leave(Events)
		if err := <-passed; err != nil {
			t.Error(err)
		}
		l.enter(Events)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.pass(ctx, Samples); err == nil {
			t.Error("samples pass while events wait")
		}
	})
}

func TestAddressesThatDoNotAnswerRest(t *testing.T) {
	now := time.Unix(0, 0)
	var cs []*elastictransport.Connection
	for _, host := range []string{"a", "b", "c"} {
		cs = append(cs, &elastictransport.Connection{URL: &url.URL{Host: host}})
	}
	n := newNodes(cs, func() time.Time { return now })
	next := func() string {
		c, err := n.Next()
		if err != nil {
			t.Fatal(err)
		}
		return c.URL.Host
	}
	if got := []string{next(), next(), next(), next()}; !slices.Equal(got, []string{"a", "b", "c", "a"}) {
		t.Errorf("the turns are %v", got)
	}
	fail := func(i int) {
		if err := n.OnFailure(cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	fail(1)
	if got := []string{next(), next(), next()}; slices.Contains(got, "b") {
		t.Errorf("with b at rest the turns are %v", got)
	}
	now = now.Add(time.Second)
	if got := []string{next(), next(), next()}; !slices.Contains(got, "b") {
		t.Errorf("when b has rested the turns are %v", got)
	}
	for range 10 {
		fail(1)
	}
	fail(0)
	fail(0)
	fail(2)
	if got := next(); got != "c" {
		t.Errorf("while all rest it is the turn of %s", got)
	}
	now = now.Add(mostRest)
	if got := []string{next(), next(), next()}; !slices.Contains(got, "b") {
		t.Errorf("after the longest rest the turns are %v", got)
	}
	fail(1)
	if err := n.OnSuccess(cs[1]); err != nil {
		t.Fatal(err)
	}
	if got := []string{next(), next(), next()}; !slices.Contains(got, "b") {
		t.Errorf("when b has answered the turns are %v", got)
	}
	if _, err := newNodes(nil, time.Now).Next(); err == nil {
		t.Error("without addresses it is somebody's turn")
	}
	if us := n.URLs(); len(us) != 3 {
		t.Errorf("the addresses are %v", us)
	}
}

func TestDocumentsAreDividedIntoBoundedRequests(t *testing.T) {
	docs := make([]Document, 12_000)
	for i := range docs {
		docs[i] = Document{Stream: "logs-a-b", Body: make([]byte, i%1000)}
	}
	docs[5000].Body = make([]byte, 2*mostBytes)
	next := 0
	for _, b := range divide(docs, indices(len(docs)), mostBytes) {
		size := 0
		for _, n := range b.at {
			if n != next {
				t.Fatalf("document %d follows on %d", n, next-1)
			}
			next++
			size += weight(docs[n])
		}
		if len(b.at) > mostItems || size > mostBytes && len(b.at) > 1 {
			t.Errorf("a request has %d documents and %d bytes", len(b.at), size)
		}
	}
	if next != len(docs) {
		t.Errorf("%d documents are in requests", next)
	}
	if bs := divide(nil, nil, 1); bs != nil {
		t.Errorf("no documents make %v", bs)
	}
}

func TestWhatWouldBreakARequestIsRefused(t *testing.T) {
	c := reach(t, time.Second, "http://127.0.0.1:1") // which is not asked
	docs := []Document{
		{Stream: "", Body: []byte("{}")},
		{Stream: "Logs-a", Body: []byte("{}")},
		{Stream: "-logs", Body: []byte("{}")},
		{Stream: "logs/_doc?x", Body: []byte("{}")},
		{Stream: "logs-" + strings.Repeat("a", 300), Body: []byte("{}")},
		{Stream: "logs-a-b", ID: "a\"b", Body: []byte("{}")},
		{Stream: "logs-a-b", ID: strings.Repeat("a", 600), Body: []byte("{}")},
		{Stream: "logs-a-b", ID: "ä", Body: []byte("{}")},
		{Stream: "logs-a-b", Body: []byte("{\n}")},
	}
	refused, err := c.Deliver(t.Context(), Events, docs)
	if err != nil || len(refused) != len(docs) {
		t.Errorf("refused are %v, %v", refused, err)
	}
	for i, r := range refused {
		if r.Type == "" || r.Reason == "" {
			t.Errorf("document %d is refused with %+v", i, r)
		}
	}
	if refused, err := c.Deliver(t.Context(), Events, nil); err != nil || len(refused) != 0 {
		t.Errorf("of no documents are refused %v, %v", refused, err)
	}
}

func TestDeadLettersAreKeptAndBounded(t *testing.T) {
	dir := t.TempDir()
	reg := prometheus.NewPedanticRegistry()
	c, err := New(Config{URLs: []string{"http://127.0.0.1:1"}}, Options{Dir: dir, Metrics: NewMetrics(reg)})
	if err != nil {
		t.Fatal(err)
	}
	file, earlier := filepath.Join(dir, graveName), filepath.Join(dir, earlierName)
	if err := os.WriteFile(file, []byte(`{"at":"2026-11`), 0o600); err != nil { // as a crash leaves it
		t.Fatal(err)
	}
	docs := []Document{{"logs-a-b", "x", []byte(`{"a":1.50}`)}, {"logs-a-b", "", []byte(`no JSON`)}}
	why := []Refusal{{400, "document_parsing_exception", "no", "a"}, {400, "", "", ""}}
	if err := c.Bury(docs, why); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var l struct {
		At       time.Time
		Stream   string
		ID       string
		Refusal  map[string]any
		Document json.RawMessage
	}
	if err := json.Unmarshal([]byte(lines[1]), &l); err != nil || len(lines) != 3 {
		t.Fatalf("the lines are %q: %v", lines, err)
	}
	if l.Stream != "logs-a-b" || l.ID != "x" || l.Refusal["field"] != "a" || l.Refusal["type"] != "document_parsing_exception" || string(l.Document) != `{"a":1.50}` || time.Since(l.At) > time.Minute {
		t.Errorf("the letter is %+v", l)
	}
	if !strings.Contains(lines[2], `"document":"no JSON"`) {
		t.Errorf("the letter of no JSON is %s", lines[2])
	}
	big := Document{Stream: "logs-a-b", Body: []byte(`"` + strings.Repeat("x", mostGrave/3) + `"`)}
	for range 4 {
		if err := c.Bury([]Document{big, big}, make([]Refusal, 2)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		s, err := e.Info()
		if err != nil || s.Size() > mostGrave || s.Mode() != 0o600 {
			t.Errorf("%s has %d bytes and the mode %s: %v", e.Name(), s.Size(), s.Mode(), err)
		}
	}
	if want := []string{filepath.Base(earlier), filepath.Base(file)}; !slices.Equal(names, want) {
		t.Errorf("the files are %v", names)
	}
	if s := c.Status(); s.Buried != 10 {
		t.Errorf("%d are buried", s.Buried)
	}
	if got := testutil.ToFloat64(c.options.Metrics.buried.WithLabelValues("logs-a-b", otherWord)); got != 9 {
		t.Errorf("the metric counts %g", got)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("the metrics have the problems %v, %v", problems, err)
	}
}

func TestDeadLettersAreCountedAndTheNewestIsTold(t *testing.T) {
	dir := t.TempDir()
	none, err := DeadLetters(dir)
	if err != nil || none.Count != 0 || !none.At.IsZero() {
		t.Fatalf("of an empty folder: %+v, %v", none, err)
	}
	c, err := New(Config{URLs: []string{"http://127.0.0.1:1"}}, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, earlierName), []byte("{}\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	docs := []Document{{"logs-a-b", "x", []byte(`{"a":1}`)}, {"logs-c-d", "", []byte(`{}`)}}
	if err := c.Bury(docs, []Refusal{{Status: 400, Type: "first"}, {Status: 400, Type: "last", Reason: "no"}}); err != nil {
		t.Fatal(err)
	}
	got, err := DeadLetters(dir)
	if err != nil || got.Count != 4 || got.File != c.Status().Letters || !filepath.IsAbs(got.File) {
		t.Errorf("%+v, %v; the status says %s", got, err, c.Status().Letters)
	}
	if got.Stream != "logs-c-d" || got.Refusal.Type != "last" || got.Refusal.Reason != "no" || time.Since(got.At) > time.Minute {
		t.Errorf("the newest is %+v", got)
	}
	if err := os.WriteFile(got.File, []byte("{}\nno JSON\n{\"at\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := DeadLetters(dir); err != nil || got.Count != 4 {
		t.Errorf("with a line that is cut: %+v, %v", got, err)
	}
}

func TestDeadLettersOfAnEarlierRunAreMeasured(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, graveName), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := NewMetrics(nil)
	if _, err := New(Config{URLs: []string{"http://127.0.0.1:1"}}, Options{Dir: dir, Metrics: m}); err != nil {
		t.Fatal(err)
	}
	if got := testutil.ToFloat64(m.letters); got != 3 {
		t.Errorf("%g bytes, want 3", got)
	}
}

func TestDeadLettersThatCannotBeKeptAreAnError(t *testing.T) {
	c := reach(t, time.Second, "http://127.0.0.1:1")
	docs, why := []Document{{Stream: "logs-a-b", Body: []byte("{}")}}, []Refusal{{Status: 400}}
	if err := c.Bury(docs, nil); err == nil {
		t.Error("documents without refusals are buried")
	}
	c.grave.dir = filepath.Join(t.TempDir(), "none")
	if err := c.Bury(docs, why); err == nil || c.Status().Buried != 0 {
		t.Errorf("in a folder that is not there: %v", err)
	}
	c.grave.dir = ""
	if err := c.Bury(docs, why); err == nil {
		t.Error("documents are buried nowhere")
	}
}

func TestReasonsOfDeadLettersAreBounded(t *testing.T) {
	m := NewMetrics(nil)
	for i := range 2 * mostWords {
		w := strings.Repeat("x", i+1)
		if got := m.word(w); (got == otherWord) != (i >= mostWords) {
			t.Errorf("reason %d is called %s", i, got)
		}
	}
	if m.word("x") != "x" {
		t.Error("a reason that has a label loses it")
	}
}
