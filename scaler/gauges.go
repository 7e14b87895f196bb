package scaler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler/journal"
)

// gauges show what each pool is now, as it was judged last, whenever somebody asks:
// so a pool that is no more shows nothing.
type gauges struct {
	s        *Scaler
	members  *prometheus.Desc
	size     *prometheus.Desc
	wanted   *prometheus.Desc
	least    *prometheus.Desc
	most     *prometheus.Desc
	mode     *prometheus.Desc
	judged   *prometheus.Desc
	unmet    *prometheus.Desc
	missing  *prometheus.Desc
	drifting *prometheus.Desc
}

func newGauges(s *Scaler) gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("flyball_pool_"+name, help, append([]string{"pool"}, labels...), nil)
	}
	return gauges{
		s:        s,
		members:  desc("members", "Members that the provider lists, by state.", "state"),
		size:     desc("size", "Members that count as capacity, those on their way included."),
		wanted:   desc("wanted", "Size that the pool should have."),
		least:    desc("min", "The rule's min."),
		most:     desc("max", "The rule's max."),
		mode:     desc("mode", "1 for what becomes of decisions: act, observe, dry_run, paused, or none without a rule.", "mode"),
		judged:   desc("judged_timestamp_seconds", "When the pool was last judged, or taken over."),
		unmet:    desc("unmet", "Members that were wanted at the last judgement and not to be had, by what kept them from the pool.", "reason"),
		missing:  desc("signal_missing", "1 for a signal without a value that counts at the last judgement, by what is wrong.", "signal", "reason"),
		drifting: desc("drifting", "1 while the pool was changed behind our back or its list is not believed, so that nothing is done."),
	}
}

// Describe implements [prometheus.Collector].
func (g gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.members, g.size, g.wanted, g.least, g.most, g.mode, g.judged, g.unmet, g.missing, g.drifting} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. Orders that cannot be read stop the
// judgements, too, and that shows.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	orders, _ := g.s.journal.Orders()
	now := time.Now()
	for _, l := range g.s.current() {
		l.mu.Lock()
		p := l.status
		l.mu.Unlock()
		set := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{p.Name}, labels...)...)
		}
		paused := orders[l.target()].Pause.In(now) || orders[journal.All].Pause.In(now)
		set(g.mode, 1, doing(p.Mode, paused, l.unit.DryRun))
		set(g.judged, float64(p.Judged.UnixMilli())/1000)
		if p.Mode != "" {
			set(g.least, float64(p.Min))
			set(g.most, float64(p.Max))
		}
		g.looked(p, set)
		if p.Decision != nil {
			g.decided(*p.Decision, set)
		}
	}
}

// looked shows what the provider said.
func (g gauges) looked(p PoolStatus, set func(*prometheus.Desc, float64, ...string)) {
	if p.Terms == nil {
		return
	}
	n := map[rules.State]int{}
	for _, m := range p.Members {
		n[m.State]++
	}
	for _, state := range []rules.State{rules.Ready, rules.Booting, rules.Draining, rules.Unhealthy, rules.Dead, rules.Leaving} {
		set(g.members, float64(n[state]), string(state))
	}
	drifting := 0.
	if p.Terms.Drift != "" {
		drifting = 1
	}
	set(g.drifting, drifting)
}

// decided shows what was made of it.
func (g gauges) decided(d rules.Decision, set func(*prometheus.Desc, float64, ...string)) {
	set(g.size, float64(d.Size))
	set(g.wanted, float64(d.To))
	for reason, n := range unmet(d) {
		set(g.unmet, float64(n), string(reason))
	}
	for _, s := range d.Signals {
		switch s.Reason {
		case rules.MissingData, rules.LowCoverage, rules.StaleData:
			set(g.missing, 1, s.Name, string(s.Reason))
		}
	}
}

// unmet are the members that a decision would have and does not ask for: those
// that limits took off, and those of a refused verdict.
func unmet(d rules.Decision) map[rules.Reason]int {
	out := map[rules.Reason]int{}
	for _, l := range d.Limits {
		if l.From > l.To {
			out[l.Name] += l.From - l.To
		}
	}
	switch {
	case d.Refused == "":
	case d.Verdict == rules.ScaleOut:
		out[d.Refused] += d.To - d.Size
	case d.Verdict == rules.Replace:
		out[d.Refused] += max(1, len(d.Victims)) // without any they are gone already
	}
	return out
}

// doing says in a word what becomes of a pool's decisions.
func doing(m rules.Mode, paused, dry bool) string {
	switch {
	case m == "":
		return "none"
	case paused:
		return "paused"
	case m == rules.Act && dry:
		return "dry_run"
	}
	return string(m)
}
