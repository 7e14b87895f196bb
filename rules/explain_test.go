package rules

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var explainUpdate = flag.Bool("update-explain", false, "write the golden explanations anew")

// explained are decisions by the name of their golden file, each with its line.
func explained() map[string]struct {
	d    Decision
	line string
} {
	v := func(f float64) *float64 { return &f }
	at := time.Date(2026, 11, 20, 10, 0, 15, 250e6, time.UTC)
	base := Decision{ID: "web-20261120T100015.250Z", Pool: "web", Rule: "web.scale.yaml:2", Commit: "3f1c2ab", At: at}
	out := base
	out.Members, out.Size, out.Wants = Count{Ready: 3, Booting: 1}, 4, 7
	out.Signals = []Judged{
		{Name: "cpu", Rule: "web.scale.yaml:5", Value: v(0.98), Unit: "percent", Age: "2.1s", Coverage: 1, Wants: 7, Reason: BySignal, Because: "4 x 0.98 / 0.60 = 6.53"},
		{Name: "p99", Rule: "web.scale.yaml:7", Value: v(0.0581), Unit: "seconds", Age: "1s", Coverage: 1, Wants: 4, Reason: InBand, Because: "0.02 <= 0.06 <= 0.25"},
	}
	out.Limits = []Applied{{Name: RateLimited, From: 7, To: 5, Because: "at most 4 in 1m0s, 3 came"}}
	out.Verdict, out.To, out.Reason, out.Signal = ScaleOut, 5, BySignal, "cpu"

	paused := out
	paused.Refused = Paused

	keep := base
	keep.Commit, keep.Members, keep.Size, keep.Wants, keep.To = "", Count{Ready: 5}, 5, 5, 5
	keep.Signals = []Judged{{Name: "requests", Value: v(64), Unit: "per_second", Age: "400ms", Coverage: 1, Wants: 5, Reason: InBand, Because: "64.0/14 = 4.57"}}
	keep.Verdict, keep.Reason, keep.Signal = Keep, InBand, "requests"

	doubt := keep
	doubt.Members, doubt.Wants = Count{Ready: 2, Unhealthy: 3}, 2
	doubt.Signals = []Judged{
		{Name: "cpu", Value: v(0.2), Unit: "percent", Age: "1s", Coverage: 0.4, Wants: 2, Reason: LowCoverage, Because: "2 of 5 members heard of, 80% wanted"},
		{Name: "memory", Unit: "bytes", Coverage: 0, Wants: 5, Reason: MissingData, Because: "no data"},
	}
	doubt.Holds = []JudgedHold{{Name: "database_busy", Forbids: DirIn, Because: "not known: no data"}, {Name: "deploy", Because: "0, not above 0.50"}}
	doubt.Limits = []Applied{{Name: LowCoverage, From: 2, To: 5, Because: "cpu"}}
	doubt.Reason, doubt.Signal = LowCoverage, "cpu"

	replace := base
	replace.Members, replace.Size, replace.To = Count{Ready: 2, Dead: 1}, 3, 3
	replace.Signals = []Judged{{Name: "memory", Value: v(3.5 * 1024 * 1024), Unit: "bytes", Age: "1s", Coverage: 1, Wants: 3, Reason: InBand, Because: "3 x 0.50 / 0.60 = 2.5"}}
	replace.Verdict, replace.Reason, replace.Victims, replace.Refused = Replace, Replacing, []MemberID{"500000003"}, ProviderBackoff
	replace.Named = []Named{{ID: "500000003", Name: "web-3", Note: "droplet 500000003 in ams3, DigitalOcean could not make it"}}

	held := out
	held.Holds = []JudgedHold{{Name: "database_busy", Forbids: DirOut, Because: "0.95 > 0.90 for 2m0s of 1m0s"}}
	held.Limits = []Applied{{Name: Held, From: 7, To: 4}}
	held.Verdict, held.To, held.Reason = Keep, 4, Held

	unknown := keep
	unknown.Holds = []JudgedHold{{Name: "database_busy", Forbids: DirIn, Because: "not known: no data"}}
	unknown.Limits = []Applied{{Name: Held, From: 3, To: 5, Because: "database_busy"}}
	unknown.Reason, unknown.Signal = Held, "database_busy"

	drift := keep
	drift.Members, drift.Size, drift.To, drift.Wants, drift.Advice = Count{Ready: 3}, 3, 3, 6, 5
	drift.Limits = []Applied{{Name: Drift, From: 6, To: 3, Because: "3 of 6 Droplets are gone, and not by us"}}
	drift.Reason, drift.Signal = Drift, ""

	lack := out
	lack.Refused, lack.Detail = ProviderBackoff, "until 10:05:15: make web-4: 422: it will exceed your droplet limit"

	rolling := keep
	rolling.Members, rolling.Size, rolling.Verdict, rolling.To, rolling.Reason, rolling.Signal = Count{Ready: 6}, 6, ScaleIn, 5, Rolling, ""
	rolling.Victims = []MemberID{"web-4"}
	rolling.Roll = &Rolled{Version: "app-2026-11-21", Done: 3, Of: 8, State: RollUnderWay, Text: "replaces web-4 by web-12"}

	waits := keep
	waits.Roll = &Rolled{Version: "app-2026-11-21", Done: 3, Of: 8, State: RollUnderWay, Text: "waits: web-12 is warming up"}

	stopped := keep
	stopped.Roll = &Rolled{Version: "app-2026-11-21", Done: 3, Of: 8, State: RollHalted, Text: "web-11 and web-12 of the new version turned unhealthy"}

	done := keep
	done.Roll = &Rolled{Version: "app-2026-11-21", Done: 8, Of: 8, State: RollDone}

	in := keep
	in.Signals = []Judged{{Name: "requests", Coverage: 1, Age: "1s", Wants: 5, Reason: Idle, Because: "fresh, and not a number: nothing to measure"}}
	in.Wants, in.Verdict, in.To, in.Reason, in.Signal = 1, ScaleIn, 4, Idle, ""
	in.Limits = []Applied{{Name: RateLimited, From: 1, To: 4, Because: "at most 1 in 2m0s"}}
	return map[string]struct {
		d    Decision
		line string
	}{
		"scale_out": {out, "OUT 4→5   cpu: 4 x 0.98 / 0.60 = 6.53"},
		"paused":    {paused, "OUT 4→5   paused, not done; cpu: 4 x 0.98 / 0.60 = 6.53"},
		"in_band":   {keep, "KEEP 5   in_band: 64.0/14 = 4.57"},
		"doubt":     {doubt, "KEEP 5   low_coverage: 2 of 5 members heard of, 80% wanted"},
		"replace":   {replace, "REPLACE 1 of 3   provider_backoff, not done; replace: web-3 (droplet 500000003 in ams3, DigitalOcean could not make it)"},
		"idle":      {in, "IN 5→4   idle: fresh, and not a number: nothing to measure"},
		"held":      {held, "KEEP 4   hold: database_busy, 0.95 > 0.90 for 2m0s of 1m0s"},
		"unknown":   {unknown, "KEEP 5   hold: database_busy, not known: no data"},
		"empty":     {Decision{}, "KEEP 0"},
		"drift":     {drift, "KEEP 3   drift: 6→3: 3 of 6 Droplets are gone, and not by us"},
		"lack":      {lack, "OUT 4→5   provider_backoff until 10:05:15: make web-4: 422: it will exceed your droplet limit, not done; cpu: 4 x 0.98 / 0.60 = 6.53"},
		"rolling":   {rolling, "IN 6→5   rolling: 3 of 8 replaced by version app-2026-11-21; replaces web-4 by web-12"},
		"waits":     {waits, "KEEP 5   in_band: 64.0/14 = 4.57"},
		"stopped":   {stopped, "KEEP 5   in_band: 64.0/14 = 4.57"},
		"done":      {done, "KEEP 5   in_band: 64.0/14 = 4.57"},
	}
}

func TestALineTellsWhatAndWhy(t *testing.T) {
	for name, c := range explained() {
		if got := strings.TrimRight(c.d.Line(), " "); got != c.line {
			t.Errorf("%s: %q, want %q", name, got, c.line)
		}
	}
}

func TestExplainTellsADecisionToAPerson(t *testing.T) {
	for name, c := range explained() {
		got, file := c.d.Explain(), filepath.Join("testdata", "explain", name+".txt")
		if *explainUpdate {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for line := range strings.Lines(got) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

func TestEveryReasonHasItsMeaning(t *testing.T) {
	said := map[string]Reason{}
	for _, r := range append(Reasons(), "never heard of") {
		m := r.meaning("web")
		if was, twice := said[m]; twice {
			t.Errorf("%s says what %s says: %s", r, was, m)
		}
		said[m] = r
	}
}

func TestQuantitiesBearTheirUnits(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0.6, "percent", "60%"},
		{0.25, "seconds", "250ms"},
		{3, "seconds", "3s"},
		{512, "bytes", "512 B"},
		{3 << 20, "bytes", "3 MiB"},
		{5e15, "bytes", "4547 TiB"},
		{12.5, "per_second", "12.5/s"},
		{7, "", "7"},
		{7, "jobs", "7 jobs"},
	} {
		if got := quantity(c.v, c.unit); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
