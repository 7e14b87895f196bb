package setup

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
)

// reach returns a client of a server.
func reach(t testing.TB, url string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.New(cluster.Config{URLs: []string{url}}, cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A log that keeps its lines.
type lines struct{ strings.Builder }

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// apply applies as a program of a version does.
func apply(t testing.TB, a asker, s Streams, ds []Dataset, version int) (Report, string) {
	t.Helper()
	var log lines
	r, err := applyVersion(t.Context(), reach(t, a.url), s, ds, log.logger(), version)
	if err != nil {
		t.Fatal(err)
	}
	return r, log.String()
}

// did lists what was done to names that contain a part.
func did(r Report, part string) []string {
	var out []string
	for _, x := range r.Results {
		if strings.Contains(x.Name, part) {
			out = append(out, x.Done)
		}
	}
	return out
}

// cpu is a dataset of some test's own.
func cpu(name string) Dataset {
	return Dataset{
		Type: metrics, Name: "system." + name, TimeSeries: true, Dimensions: []string{"host.name"},
		Fields: map[string]Field{"system.cpu.total.norm.pct": {Type: "double", Metric: "gauge", Unit: "percent"}},
	}
}

// measured is a document of cpu's.
func measured(at time.Time, host string, pct float64) object {
	return object{"@timestamp": at.UTC().Format("2006-01-02T15:04:05.000Z"), "agent.id": "a", "host.name": host, "system.cpu.total.norm.pct": pct}
}

func TestApplyingTwiceWritesOnce(t *testing.T) {
	a, s := server(t), Streams{Namespace: "twice", Retention: days(30)}
	ds := []Dataset{Samples(), Events(), cpu("twice")}
	first, log := apply(t, a, s, ds, Version)
	if got := did(first, ""); len(got) != 7 || slices.ContainsFunc(got, func(d string) bool { return d != Written }) {
		t.Errorf("the first time: %v", first)
	}
	if strings.Count(log, "\n") != 7 {
		t.Errorf("the first time it logs\n%s", log)
	}
	if got := a.create(t, "metrics-system.twice-twice", measured(time.Now(), "a", 0.5))[0]; got.status != 201 {
		t.Error(got)
	}
	if got := a.create(t, "logs-flyball.scaling-twice", object{"@timestamp": "2026-01-01T00:00:00Z", "message": "out"})[0]; got.status != 201 {
		t.Error(got)
	}
	second, log := apply(t, a, s, ds, Version)
	if got := did(second, ""); len(got) != 7 || slices.ContainsFunc(got, func(d string) bool { return d != Same }) || log != "" {
		t.Errorf("the second time: %v\n%s", second, log)
	}
}

func TestANewerProgramsTemplatesAreLeft(t *testing.T) {
	a, s := server(t), Streams{Namespace: "newer", Retention: days(30)}
	ds := []Dataset{cpu("newer")}
	apply(t, a, s, ds, Version+1)
	changed := cpu("newer")
	changed.Limit = 77
	r, log := apply(t, a, s, []Dataset{changed}, Version)
	if got := did(r, ""); len(got) != 3 || slices.ContainsFunc(got, func(d string) bool { return d != Left }) {
		t.Errorf("%+v", r)
	}
	if len(r.Blocked) != 0 || !strings.Contains(log, "it is of version 2, ours is 1") || strings.Count(log, "\n") != 3 {
		t.Errorf("%v\n%s", r.Blocked, log)
	}
	if again, _ := apply(t, a, s, ds, Version+1); slices.ContainsFunc(did(again, ""), func(d string) bool { return d != Same }) {
		t.Errorf("the newer program finds its templates changed: %+v", again)
	}
}

func TestATemplateThatAUserChangedIsLeftAndReported(t *testing.T) {
	a, s, d := server(t), Streams{Namespace: "edited", Retention: days(30)}, cpu("edited")
	apply(t, a, s, []Dataset{d}, Version)
	a.create(t, d.Pattern("edited"), measured(time.Now(), "a", 0.5))
	path := "/_component_template/" + d.shape("edited")
	edited := a.must(t, "GET", path, nil)["component_templates"].([]any)[0].(object)["component_template"].(object)
	edited["template"].(object)["settings"].(object)["index"].(object)["refresh_interval"] = "17s"
	a.must(t, "PUT", path, edited)

	d.Limit = 2000 // what an upgrade brings
	r, log := apply(t, a, s, []Dataset{d}, Version+1)
	left := r.Left()
	if len(left) != 1 || left[0].Name != d.shape("edited") || left[0].Why != "somebody changed it" || !strings.Contains(left[0].Hint, "@custom") {
		t.Errorf("left: %+v", left)
	}
	if strings.Count(log, "somebody changed it") != 1 || slices.Contains(did(r, ""), Rolled) {
		t.Errorf("%+v\n%s", r, log)
	}
	if there := a.must(t, "GET", path, nil); !strings.Contains(fmt.Sprint(there), "refresh_interval:17s") {
		t.Errorf("the user's change is gone: %v", there)
	}
}

func TestAnIndexTemplateThatIsGoneComesBackBesideAChangedShape(t *testing.T) {
	a, s, d := server(t), Streams{Namespace: "gone", Retention: days(30)}, cpu("gone")
	apply(t, a, s, []Dataset{d}, Version)
	a.must(t, "DELETE", "/_index_template/"+d.template("gone"), nil)
	a.must(t, "PUT", "/_component_template/"+d.shape("gone"), object{"_meta": meta(Version, "of old"), "template": object{}})
	if r, _ := apply(t, a, s, []Dataset{d}, Version); !slices.Equal(did(r, d.template("gone")), []string{Left, Written}) {
		t.Errorf("%+v", r)
	}
	for _, p := range Plan(s, []Dataset{d}) { // what the hint says
		a.must(t, p.Method, p.Path, p.Body)
	}
	if r, _ := apply(t, a, s, []Dataset{d}, Version); !slices.Equal(did(r, d.template("gone")), []string{Same, Same}) {
		t.Errorf("after what the hint says: %+v", r)
	}
}

func TestAnUpgradeRollsOverWhileDocumentsGoOn(t *testing.T) {
	a, s, d := server(t), Streams{Namespace: "upgrade", Retention: days(30)}, cpu("upgrade")
	name := d.Pattern("upgrade")
	apply(t, a, s, []Dataset{d}, Version)
	begun := time.Now().Add(-time.Hour)
	var sent atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	send := func() {
		n := sent.Add(1)
		if got := a.create(t, name, measured(begun.Add(time.Duration(n)*time.Second), "a", float64(n)))[0]; got.status != 201 {
			t.Errorf("document %d: %+v", n, got)
		}
	}
	send()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				send()
			}
		}
	}()
	d.Fields["system.cpu.iowait.pct"] = Field{Type: "double", Metric: "gauge"}
	r, log := apply(t, a, s, []Dataset{d}, Version+1)
	close(stop)
	<-stopped
	if got := did(r, "system.upgrade"); !slices.Equal(got, []string{Updated, Updated, Rolled}) {
		t.Errorf("%+v\n%s", r, log)
	}
	if got := count(t, a, name, object{"match_all": object{}}); int64(got) != sent.Load() {
		t.Errorf("%d of %d documents are there", got, sent.Load())
	}
	there, err := streams(t.Context(), reach(t, a.url), name)
	if err != nil || len(there) != 1 || len(there[0].indices) != 2 || there[0].mark.Version != Version+1 {
		t.Errorf("the data stream is %+v, %v", there, err)
	}
	if again, _ := apply(t, a, s, []Dataset{d}, Version+1); slices.ContainsFunc(did(again, ""), func(d string) bool { return d != Same }) {
		t.Errorf("the second time: %+v", again)
	}
	if old, _ := apply(t, a, s, []Dataset{cpu("upgrade")}, Version); slices.Contains(did(old, ""), Rolled) {
		t.Errorf("the older program rolls over: %+v", old)
	}
}

func TestARolloverThatWasCutOffIsMadeUpFor(t *testing.T) {
	a, s, d := server(t), Streams{Namespace: "cut", Retention: days(30)}, cpu("cut")
	apply(t, a, s, []Dataset{d}, Version)
	a.create(t, d.Pattern("cut"), measured(time.Now(), "a", 1))
	d.Limit = 1500
	a.apply(t, Plan(s, []Dataset{d})) // as one that ended before it could roll over
	if r, _ := apply(t, a, s, []Dataset{d}, Version); !slices.Equal(did(r, "system.cut"), []string{Same, Same, Rolled}) {
		t.Errorf("%+v", r)
	}
}

func TestOnlyTheRetentionChangesNoIndex(t *testing.T) {
	a, s, d := server(t), Streams{Namespace: "retain", Retention: days(30)}, cpu("retain")
	apply(t, a, s, []Dataset{d}, Version)
	a.create(t, d.Pattern("retain"), measured(time.Now(), "a", 1))
	s.Retention = days(7)
	r, _ := apply(t, a, s, []Dataset{d}, Version) // the test server has no GET _data_stream/_lifecycle
	if got := did(r, "retain"); !slices.Equal(got, []string{Left, Updated, Same, Same}) || !strings.Contains(r.Results[0].Why, "retention") {
		t.Errorf("%+v", r)
	}
	if len(r.Blocked) != 0 {
		t.Errorf("blocked: %v", r.Blocked)
	}
}

func TestWhatIsSomebodyElsesIsLeftWhole(t *testing.T) {
	a := server(t)
	for _, tt := range []struct {
		name string
		make func(t *testing.T, d Dataset, stream string)
		why  string
	}{
		{"index", func(t *testing.T, _ Dataset, stream string) {
			a.must(t, "PUT", "/"+stream, nil)
		}, "the index metrics-system.index-foreign is there"},
		{"stream", func(t *testing.T, _ Dataset, stream string) {
			a.must(t, "PUT", "/_index_template/theirs-stream", object{"index_patterns": []string{"metrics-system.stream-*"}, "priority": 200, "data_stream": object{}})
			a.create(t, stream, object{"@timestamp": "2026-01-01T00:00:00Z"})
		}, "the data stream metrics-system.stream-foreign is there"},
		{"alias", func(t *testing.T, _ Dataset, stream string) {
			a.must(t, "PUT", "/theirs-aliased", object{"aliases": object{stream: object{}}})
		}, "the alias metrics-system.alias-foreign is there"},
		{"wins", func(t *testing.T, _ Dataset, _ string) {
			a.must(t, "PUT", "/_index_template/theirs-wins", object{"index_patterns": []string{"metrics-system.wins-*"}, "priority": 301, "data_stream": object{}})
		}, "theirs-wins counts before ours: its priority is 301, ours 300"},
		{"equal", func(t *testing.T, _ Dataset, _ string) {
			a.must(t, "PUT", "/_index_template/theirs-equal", object{"index_patterns": "metrics-*.equal-foreign", "priority": 300, "data_stream": object{}})
		}, "theirs-equal counts before ours"},
		{"named", func(t *testing.T, d Dataset, stream string) {
			a.must(t, "PUT", "/_index_template/"+d.template("foreign"), object{"index_patterns": stream, "data_stream": object{}})
		}, "the index template flyball-metrics-system.named-foreign is somebody else's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, s := cpu(tt.name), Streams{Namespace: "foreign", Retention: days(30)}
			tt.make(t, d, d.Pattern("foreign"))
			r, log := apply(t, a, s, []Dataset{d, cpu("mine" + tt.name)}, Version)
			left := r.Left()
			if len(left) != 1 || !strings.Contains(left[0].Why, tt.why) || !strings.Contains(left[0].Hint, "namespace") || !strings.Contains(log, tt.why) {
				t.Errorf("left: %+v\n%s", left, log)
			}
			if !r.Blocks(d.Pattern("foreign")) || r.Blocks("metrics-system.mine"+tt.name+"-foreign") {
				t.Errorf("blocked: %v", r.Blocked)
			}
			if status, _ := a.ask(t, "GET", "/_component_template/"+d.shape("foreign"), nil); status != 404 {
				t.Error("a component template is written")
			}
			if got := did(r, "system.mine"); !slices.Equal(got, []string{Written, Written}) {
				t.Errorf("the other dataset: %v", got)
			}
		})
	}
}

func TestAnIntegrationsTemplateCountsAfterOurs(t *testing.T) {
	a, s, d := server(t), Streams{Namespace: "beside", Retention: days(30)}, cpu("beside")
	a.must(t, "PUT", "/_index_template/theirs-beside", object{"index_patterns": []string{"metrics-system.beside-*"}, "priority": 200, "data_stream": object{}})
	if r, _ := apply(t, a, s, []Dataset{d}, Version); len(r.Left()) != 0 {
		t.Errorf("%+v", r)
	}
	a.create(t, d.Pattern("beside"), measured(time.Now(), "a", 1))
	there, err := streams(t.Context(), reach(t, a.url), d.Pattern("beside"))
	if err != nil || len(there) != 1 || there[0].mark.By != ours {
		t.Errorf("%+v, %v", there, err)
	}
}

func TestADatasetThatTheServerRefusesCostsOnlyItself(t *testing.T) {
	a, s := server(t), Streams{Namespace: "refused", Retention: days(30)}
	wrong, right := cpu("wrong"), cpu("right")
	wrong.Fields["system.cpu.total.norm.pct"] = Field{Type: "percentage"}
	r, log := apply(t, a, s, []Dataset{wrong, right}, Version)
	left := r.Left()
	if len(left) != 1 || !strings.Contains(left[0].Why, "percentage") || left[0].Hint == "" || !strings.Contains(log, "percentage") {
		t.Errorf("left: %+v\n%s", left, log)
	}
	if !slices.Equal(r.Blocked, []string{wrong.Pattern("refused")}) || !slices.Equal(did(r, "system.right"), []string{Written, Written}) {
		t.Errorf("%+v", r)
	}
}

func TestAServerThatIsAwayIsAnErrorThatMayPass(t *testing.T) {
	_, err := Apply(t.Context(), reach(t, "http://127.0.0.1:1"), Streams{Namespace: "away", Retention: days(1)}, nil, slog.New(slog.DiscardHandler))
	if err == nil || !strings.HasPrefix(err.Error(), "set up Elasticsearch: ") {
		t.Error(err)
	}
}
