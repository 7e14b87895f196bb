package setup

import (
	"strings"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/rules"
)

// of returns the findings about something.
func of(fs []rules.Finding, what string) []rules.Finding {
	var out []rules.Finding
	for _, f := range fs {
		if f.What == what {
			out = append(out, f)
		}
	}
	return out
}

func TestDoctorBeforeAndAfterTheSetUp(t *testing.T) {
	a, s, ds := server(t), Streams{Namespace: "doctor", Retention: days(30)}, []Dataset{cpu("doctor"), Events()}
	c, now := reach(t, a.url), time.Now()
	fs := Check(t.Context(), c, s, ds, now)
	for _, f := range fs {
		if f.OK == (f.What == "template") {
			t.Errorf("before: %+v", f)
		}
	}
	if got := of(fs, "template"); len(got) != 5 || got[0].Text != "flyball-doctor@lifecycle is not there" || !strings.Contains(got[0].Hint, "flyball elastic setup") {
		t.Errorf("before: %+v", got)
	}
	if got := of(fs, "rights"); len(got) != 1 || !strings.Contains(got[0].Text, "without security") {
		t.Errorf("before: %+v", got)
	}
	if got := of(fs, "newest"); len(got) != 2 || !strings.Contains(got[0].Text, "no document yet") {
		t.Errorf("before: %+v", got)
	}

	apply(t, a, s, ds, Version)
	a.create(t, "metrics-system.doctor-doctor", measured(now, "a", 1))
	a.create(t, "logs-flyball.config-doctor", object{"@timestamp": "2026-01-01T00:00:00Z"})
	for _, f := range Check(t.Context(), c, s, ds, now.Add(time.Minute)) {
		if !f.OK {
			t.Errorf("after: %+v", f)
		}
	}

	old := of(Check(t.Context(), c, s, ds, now.Add(time.Hour)), "newest")
	if old[0].OK || !strings.Contains(old[0].Text, "1h0m0s ago") || old[0].Hint == "" || !old[1].OK {
		t.Errorf("an hour later: %+v", old)
	}

	changed := cpu("doctor")
	changed.Limit = 5000
	if got := of(Check(t.Context(), c, s, []Dataset{changed}, now), "template"); len(got) != 3 || got[0].OK == got[1].OK {
		t.Errorf("of another shape: %+v", got)
	}
}

func TestDoctorSaysOnceThatADatasetIsSomebodyElsesAndWhatHelps(t *testing.T) {
	a, s := server(t), Streams{Namespace: "strange", Retention: days(30)}
	theirs, events := cpu("strange"), Events()
	apply(t, a, s, nil, Version)
	a.must(t, "PUT", "/_index_template/agents", object{"index_patterns": []string{"metrics-system.strange-*"}, "priority": 200, "data_stream": object{}})
	a.create(t, theirs.Pattern("strange"), object{"@timestamp": "2026-01-01T00:00:00Z"})
	a.must(t, "PUT", "/logs-flyball.config-strange", nil)
	var wrong []rules.Finding
	for _, f := range Check(t.Context(), reach(t, a.url), s, []Dataset{theirs, events}, time.Now()) {
		if !f.OK {
			wrong = append(wrong, f)
		}
		if f.What == "newest" {
			t.Errorf("the age of what is not ours is told: %+v", f)
		}
	}
	if len(wrong) != 2 {
		t.Fatalf("%d findings for two causes: %+v", len(wrong), wrong)
	}
	if f := wrong[0]; !strings.Contains(f.Text, "was not made by our templates") || !strings.HasSuffix(f.Hint, "views: {except: [system.strange]}") || strings.Contains(f.Hint, "elastic setup") {
		t.Errorf("%+v", f)
	}
	if f := wrong[1]; !strings.Contains(f.Text, "logs-flyball.config-strange is there") || !strings.Contains(f.Hint, "namespace") || strings.Contains(f.Hint, "except") {
		t.Errorf("%+v", f)
	}
}

func TestDoctorNeedsAServer(t *testing.T) {
	fs := Check(t.Context(), reach(t, "http://127.0.0.1:1"), usual, nil, time.Now())
	if len(fs) != 1 || fs[0].OK || fs[0].What != "reachable" || fs[0].Hint == "" {
		t.Errorf("%+v", fs)
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	for _, tt := range []struct {
		skew time.Duration
		ok   bool
		text string
	}{
		{0, true, "the server's clock is 0s ahead of ours"},
		{-4 * time.Second, true, "the server's clock is 4s behind ours"},
		{6 * time.Second, false, "the server's clock is 6s ahead of ours"},
		{-time.Hour, false, "the server's clock is 1h0m0s behind ours"},
	} {
		if f := clock(cluster.Info{Skew: tt.skew, Clocked: true}); f.OK != tt.ok || f.Text != tt.text || !f.OK && f.Hint == "" {
			t.Errorf("%s: %+v", tt.skew, f)
		}
	}
	if f := clock(cluster.Info{}); !f.OK || !strings.Contains(f.Text, "not known") {
		t.Errorf("a server that does not tell its time: %+v", f)
	}
}
