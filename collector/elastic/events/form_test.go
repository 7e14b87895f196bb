package events

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/collector/elastic/ecs"
	"flyball/rules"
	"flyball/scaler/journal"
)

var updateGolden = flag.Bool("update", false, "write the golden documents anew")

var epoch = time.Date(2026, 11, 20, 10, 0, 15, 250_000_000, time.UTC)

func open(t testing.TB, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.TempDir(), o)
	ok(t, err)
	t.Cleanup(func() { ok(t, j.Close()) })
	return j
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func shipperOf(j *journal.Journal) *Shipper {
	return New(Options{
		Journal: j, Agent: ecs.Agent{ID: "7", Host: "flyball-1", Version: "1.2", Site: "ams3"},
		Now: func() time.Time { return epoch.Add(time.Hour) },
	})
}

func value(v float64) *float64 { return &v }

// decide is a judgement of the pool web; change makes it another.
func decide(at time.Time, change func(d *rules.Decision)) journal.Tick {
	d := rules.Decision{
		ID: "web-" + at.Format("20060102T150405.000Z"), Pool: "web", Rule: "rules/web.scale.yaml:2", Commit: "4f2a91c", At: at,
		Members: rules.Count{Ready: 3}, Size: 3, Wants: 4,
		Signals: []rules.Judged{{
			Name: "requests", Rule: "rules/web.scale.yaml:9", Value: value(50.5), Unit: "req/s", Age: "2.1s", Coverage: 1,
			Wants: 4, Reason: rules.BySignal, Because: "50.5/14 = 3.61",
		}},
		Verdict: rules.ScaleOut, To: 4, Reason: rules.BySignal, Signal: "requests",
	}
	change(&d)
	return journal.Tick{Pool: "web", Out: d, After: rules.Memory{Version: rules.MemoryVersion}}
}

// lived is a journal of one entry of each sort, with their names.
func lived(t *testing.T) (*journal.Journal, []string) {
	t.Helper()
	now := epoch
	j := open(t, journal.Options{Now: func() time.Time { now = now.Add(1200 * time.Millisecond); return now }})
	tick := func(at time.Duration, change func(d *rules.Decision)) {
		ok(t, j.Tick(now, []journal.Tick{decide(epoch.Add(at), change)}))
	}
	note := func(kind journal.Kind, target string, body any) { ok(t, j.Note(kind, target, epoch, body)) }
	note(journal.Life, "", map[string]string{"act": "start", "version": "1.2"})
	note(journal.Load, "", map[string]any{"by": "start", "outcome": "taken_over", "file": "flyball.yaml", "commit": "4f2a91c", "version": "1.2", "pools": 1, "rules": 1})
	tick(0, func(d *rules.Decision) {
		d.Verdict, d.To, d.Reason, d.Refused = rules.ScaleOut, 4, rules.BySignal, rules.Paused
	})
	tick(time.Second, func(d *rules.Decision) {
		d.Verdict, d.To, d.Reason = rules.Keep, 3, rules.RateLimited
		d.Limits = []rules.Applied{{Name: rules.RateLimited, From: 4, To: 3, Because: "1 in 60s"}}
	})
	out := decide(epoch.Add(2*time.Second), func(*rules.Decision) {})
	seq, err := j.Begin(journal.Step{ID: "web-m1", Target: "pool/web", Verb: journal.Grow, To: 4, Names: []string{"web-4"}, Decision: out.Out.ID, Reason: rules.BySignal}, &out)
	ok(t, err)
	ok(t, j.End(seq, journal.Outcome{OK: true, Took: "1.5s"}))
	tick(3*time.Second, func(d *rules.Decision) {
		d.Size, d.To, d.Verdict, d.Reason, d.Signal = 4, 4, rules.Keep, rules.MissingData, "requests"
		d.Signals[0] = rules.Judged{Name: "requests", Wants: 4, Reason: rules.MissingData, Because: "no data"}
	})
	seq, err = j.Begin(journal.Step{ID: "web-m2", Target: "pool/web", Verb: journal.Swap, To: 4, Names: []string{"web-5"}, Victims: []rules.MemberID{"c0ffee"}, Named: []rules.Named{{ID: "c0ffee", Name: "web-2"}}, Decision: "web-20261120T100019.250Z", Reason: rules.Replacing}, nil)
	ok(t, err)
	ok(t, j.End(seq, journal.Outcome{Err: "quota of 4 droplets is used up", Took: "310ms", Resumed: true}))
	ok(t, j.SetOrder("pool/web", journal.FloorOrder, &rules.Order{By: "alice", Why: "sale", Size: 5, Until: epoch.Add(2 * time.Hour)}, epoch))
	ok(t, j.SetOrder(journal.All, journal.PauseOrder, &rules.Order{By: "bob", Why: "database moves"}, epoch))
	ok(t, j.SetOrder(journal.All, journal.PauseOrder, nil, epoch))
	note(journal.Load, "", map[string]any{"by": "SIGHUP", "outcome": "refused", "err": "rules/web.scale.yaml:3:7: max must be at least min", "file": "flyball.yaml", "pools": 1, "rules": 1})
	note(journal.Life, "pool/web", map[string]string{"act": "end", "outcome": "all members have ended"})
	note(journal.Life, "", map[string]string{"act": "stop", "version": "1.2"})
	note(journal.Ship, "", journal.Trouble{What: "lost", Text: "samples of 3 minutes aged out", To: "metrics-prometheus.collector-default", Count: 1800, From: epoch, Until: epoch.Add(3 * time.Minute)})
	note(journal.Ship, "", journal.Trouble{What: journal.Recovered, Text: "Elasticsearch answers again", To: "Elasticsearch"})
	note("failover", "database/orders", map[string]any{"from": "db-1", "to": "db-2", "deep": map[string]any{"list": []int{1, 2}}})
	note(journal.Load, "", []string{"of", "no", "form", "we", "know"})
	return j, []string{
		"life_start", "load", "decision_paused", "decision_rate_limited", "decision_scale_out", "begin_grow", "end_grow",
		"decision_missing_data", "begin_replace", "end_failed", "order_floor", "order_pause_all", "order_resume_all",
		"load_refused", "life_end_of_pool", "life_stop", "ship_lost", "ship_recovered", "other", "load_of_unknown_form",
	}
}

func TestEachKindsDocumentIsAsInItsGoldenFile(t *testing.T) {
	j, names := lived(t)
	s := shipperOf(j)
	es, err := j.Entries(journal.Filter{Oldest: true})
	ok(t, err)
	if len(es) != len(names) {
		t.Fatalf("%d entries, want %d", len(es), len(names))
	}
	for i, e := range es {
		t.Run(names[i], func(t *testing.T) {
			d, err := s.document(e)
			ok(t, err)
			var b bytes.Buffer
			ok(t, json.Indent(&b, d.Body, "", "  "))
			got := d.Stream + "\n" + strings.ReplaceAll(b.String(), d.ID, "(the document's ID)") + "\n"
			path := filepath.Join("testdata", "documents", names[i]+".txt")
			if *updateGolden {
				ok(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			ok(t, err)
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestARefusalBeginsAndEndsAlsoOverARestart(t *testing.T) {
	j, _ := lived(t)
	es, err := j.Entries(journal.Filter{Oldest: true, Kinds: []journal.Kind{journal.Decision}})
	ok(t, err)
	want := []string{"[paused] []", "[rate_limited] [paused]", "[] [rate_limited]", "[missing_data] []"}
	for i, e := range es {
		d, err := shipperOf(j).document(e) // which has seen none of the others
		ok(t, err)
		var doc struct {
			Began []string `json:"flyball.refusals.began"`
			Ended []string `json:"flyball.refusals.ended"`
		}
		ok(t, json.Unmarshal(d.Body, &doc))
		if got := fmt.Sprint(doc.Began, doc.Ended); got != want[i] {
			t.Errorf("decision %d: began, ended %s, want %s", i, got, want[i])
		}
	}
}

func TestAnIDFollowsFromTheJournalAndTheEntry(t *testing.T) {
	base := journal.Entry{Seq: 7, At: epoch, Kind: "a", Target: "pool/web", ID: "x", Body: json.RawMessage(`{}`)}
	seen := map[string]string{idOf("one", base): "itself"}
	again := base
	again.Body = json.RawMessage(`{}`)
	if idOf("one", base) != idOf("one", again) {
		t.Error("an entry that is read again has another ID")
	}
	for name, change := range map[string]func(e *journal.Entry){
		"number": func(e *journal.Entry) { e.Seq++ },
		"time":   func(e *journal.Entry) { e.At = e.At.Add(1) },
		"kind":   func(e *journal.Entry) { e.Kind = "b" },
		"target": func(e *journal.Entry) { e.Target, e.ID = "pool/we", "bx" },
		"id":     func(e *journal.Entry) { e.ID = "y" },
		"body":   func(e *journal.Entry) { e.Body = json.RawMessage(`[]`) },
	} {
		e := base
		change(&e)
		id := idOf("one", e)
		if other, ok := seen[id]; ok {
			t.Errorf("an entry of another %s has the ID of %s", name, other)
		}
		seen[id] = name
	}
	if _, ok := seen[idOf("two", base)]; ok {
		t.Error("another journal's entry has the same ID")
	}
}

func TestAFurtherKindJoinsWithAFormOfItsOwn(t *testing.T) {
	j, _ := lived(t)
	s := New(Options{Journal: j, Namespace: "prod", Forms: map[journal.Kind]Form{"alert": {"alert", func(journal.Entry) ([]Field, error) {
		return []Field{{"event.action", "firing"}, {"empty", ""}, {"none", []string(nil)}, {"nil", nil}}, nil
	}}}})
	d, err := s.document(journal.Entry{Kind: "alert", At: epoch, Body: json.RawMessage(`{}`)})
	ok(t, err)
	if d.Stream != "logs-flyball.alert-prod" || !strings.Contains(string(d.Body), `"event.action":"firing"}`) {
		t.Errorf("%s %s", d.Stream, d.Body)
	}
}

// FuzzDocument: whatever an entry holds, its document is one JSON object on one
// line, which names nothing twice, and has the entry's time.
func FuzzDocument(f *testing.F) {
	j, err := journal.Open(f.TempDir(), journal.Options{})
	ok(f, err)
	f.Cleanup(func() { ok(f, j.Close()) })
	for _, kind := range []string{"decision", "begin", "end", "order", "load", "life", "ship", "later"} {
		f.Add(kind, "pool/web", "web-1", []byte(`{"id":"web-1","verdict":"keep","names":["a"],"ok":true,"took":"1s","kind":"pause"}`))
		f.Add(kind, "", "", []byte(`{"a":1,"a":{"b":[]},"":null,"n":1e999}`))
		f.Add(kind, "\xff\n\"", "x", []byte("[1,\n2]"))
		f.Add(kind, "all", "", []byte(`not JSON`))
	}
	s := shipperOf(j)
	f.Fuzz(func(t *testing.T, kind, target, id string, body []byte) {
		d, err := s.document(journal.Entry{Seq: 1, At: epoch, Kind: journal.Kind(kind), Target: target, ID: id, Body: body})
		ok(t, err)
		if bytes.ContainsAny(d.Body, "\n\r") {
			t.Errorf("more than a line: %s", d.Body)
		}
		dec := json.NewDecoder(bytes.NewReader(d.Body))
		if err := unique(dec); err != nil {
			t.Errorf("%v: %s", err, d.Body)
		}
		if !bytes.HasPrefix(d.Body, []byte(`{"@timestamp":"2026-11-20T10:00:15.250Z"`)) {
			t.Errorf("begins otherwise: %s", d.Body)
		}
	})
}

// unique reads one value and finds names that an object has twice.
func unique(d *json.Decoder) error {
	d.UseNumber()
	tok, err := d.Token()
	if err != nil {
		return err
	}
	delim, _ := tok.(json.Delim)
	names := map[string]bool{}
	for delim != 0 && d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if names[name.(string)] {
				return fmt.Errorf("%q is there twice", name)
			}
			names[name.(string)] = true
		}
		if err := unique(d); err != nil {
			return err
		}
	}
	if delim != 0 {
		_, err = d.Token()
	}
	return err
}
