package journal

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"flyball/rules"
)

func get[T any](t *testing.T, j *Journal, path string, status int) T {
	t.Helper()
	w := httptest.NewRecorder()
	j.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/flyball/v1"+path, nil))
	if w.Code != status {
		t.Fatalf("GET %s: %d %s, want %d", path, w.Code, w.Body, status)
	}
	var v T
	ok(t, json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

// lived is a journal with a minute of judgements: a size a second, a step at the 30th.
func lived(t *testing.T) *Journal {
	t.Helper()
	j := open(t, t.TempDir(), Options{Now: func() time.Time { return epoch.Add(time.Minute) }})
	for i := range 60 {
		at := epoch.Add(time.Duration(i) * time.Second)
		tick := keep("web", at, 1+i/10)
		if i != 30 {
			ok(t, j.Tick(at, []Tick{tick, keep("my-api", at, 1)}))
			continue
		}
		tick.Out.Verdict, tick.Out.Reason = rules.ScaleOut, rules.BySignal
		s := grow("s1", "web", 4)
		s.Decision = tick.Out.ID
		seq, err := j.Begin(s, &tick)
		ok(t, err)
		ok(t, j.End(seq, Outcome{OK: true, Took: "1s"}))
	}
	return j
}

func TestDecisionsAreListedNewestFirst(t *testing.T) {
	j := lived(t)
	p := get[Page](t, j, "/decisions?pool=web&limit=2", http.StatusOK)
	if len(p.Entries) != 2 || !p.More || p.Entries[0].Seq < p.Entries[1].Seq || p.Entries[0].Target != "pool/web" {
		t.Errorf("%+v", p)
	}
	since := url.QueryEscape(epoch.Add(35 * time.Second).Format(time.RFC3339))
	if p := get[Page](t, j, "/decisions?pool=web&since="+since, http.StatusOK); len(p.Entries) != 2 || p.More {
		t.Errorf("since 35 s: %d entries, want those of 40 s and 50 s", len(p.Entries))
	}
	if p := get[Page](t, j, "/decisions?pool=none", http.StatusOK); p.Entries == nil || len(p.Entries) != 0 {
		t.Errorf("unknown pool: %+v, want an empty list", p)
	}
}

func TestEntriesAreListedOldestFirst(t *testing.T) {
	p := get[Page](t, lived(t), "/entries?after=3&limit=4", http.StatusOK)
	if len(p.Entries) != 4 || !p.More || p.Entries[0].Seq != 4 || p.Entries[3].Seq != 7 {
		t.Errorf("%+v", p)
	}
}

func TestTicksArePaged(t *testing.T) {
	j := lived(t)
	from, n := "0", 0
	for from != "" {
		p := get[TickPage](t, j, "/ticks?pool=my-api&limit=25&from="+from, http.StatusOK)
		n, from = n+len(p.Ticks), ""
		if !p.Next.IsZero() {
			from = url.QueryEscape(p.Next.Format(time.RFC3339Nano))
		}
	}
	if n != 59 {
		t.Errorf("%d ticks in all pages, want 59", n)
	}
}

func TestExplainTellsTheLastJudgementAndTheLastSteps(t *testing.T) {
	told := get[Told](t, lived(t), "/pools/web/explain", http.StatusOK)
	if told.Decision.To != 6 || len(told.Tick.In.Members) != 1 || len(told.Steps) != 1 || told.Steps[0].Outcome.Took != "1s" {
		t.Errorf("%+v", told)
	}
}

func TestADecisionIsToldWholeOrTheNearest(t *testing.T) {
	j := lived(t)
	told := get[Told](t, j, "/decisions/web-20261120T100030.000Z", http.StatusOK)
	if !told.Exact || told.Entry == nil || told.Tick == nil || len(told.Steps) != 1 || told.Decision.Verdict != rules.ScaleOut {
		t.Errorf("a decision that acted: %+v", told)
	}
	told = get[Told](t, j, "/decisions/my-api-20261120T100032.400Z", http.StatusOK)
	if told.Exact || told.Tick == nil || told.Decision.ID != "my-api-20261120T100032.000Z" || len(told.Steps) != 0 {
		t.Errorf("a judgement that was dropped: %+v", told)
	}
	if _, err := j.fast.Exec(`DELETE FROM ticks`); err != nil {
		t.Fatal(err)
	}
	told = get[Told](t, j, "/decisions/web-20261120T100030.000Z", http.StatusOK)
	if !told.Exact || told.Tick != nil || told.Decision.Verdict != rules.ScaleOut {
		t.Errorf("a decision whose tick is pruned: %+v", told)
	}
}

func TestBadQuestionsGetAProblemThatSaysWhatToDo(t *testing.T) {
	j := lived(t)
	for path, c := range map[string]struct {
		status int
		detail string
	}{
		"/decisions?limit=0":                     {400, "from 1 to 1000"},
		"/decisions?limit=1001":                  {400, "from 1 to 1000"},
		"/decisions?since=yesterday":             {400, `since="yesterday" is no time`},
		"/decisions?until=0001-01-01T00:00:00Z":  {400, "is no time"},
		"/entries?after=x":                       {400, "no whole number"},
		"/ticks":                                 {400, "say which pool"},
		"/ticks?pool=web&from=NaN":               {400, "is no time"},
		"/decisions/web":                         {400, "pool and time"},
		"/decisions/web-20261320T100030.000Z":    {400, "no decision's ID"},
		"/decisions/web-20261121T100030.000Z":    {404, "is kept within"},
		"/decisions/nobody-20261120T100030.000Z": {404, "nobody"},
		"/pools/nobody/explain":                  {404, "nobody"},
		"/nothing":                               {404, "no such resource"},
	} {
		p := get[Problem](t, j, path, c.status)
		if p.Status != c.status || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s: %+v, want %q", path, p, c.detail)
		}
	}
}

func FuzzDecisionID(f *testing.F) {
	f.Add("web-20261120T100015.250Z")
	f.Add("a--00000000T000000Z")
	f.Add("\x00-99991231T235959.999999999Z")
	j := open(f, f.TempDir(), Options{})
	f.Fuzz(func(t *testing.T, id string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetPathValue("id", id)
		w := httptest.NewRecorder()
		answer(j.getDecision).ServeHTTP(w, r)
		if w.Code != 400 && w.Code != 404 {
			t.Errorf("%q in an empty journal: %d %s", id, w.Code, w.Body)
		}
	})
}
