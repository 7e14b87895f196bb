package source

import (
	"time"

	"github.com/prometheus/common/model"

	"flyball/rules"
)

// scaleFile is a *.scale.yaml as it is written.
type scaleFile struct {
	Scale map[string]scaleRule `yaml:"scale" required:"true" doc:"scaling rules, by the name of their pool"`
}

// scaleRule is one pool's rule as it is written.
type scaleRule struct {
	Mode    rules.Mode            `yaml:"mode" default:"observe" enum:"observe act" doc:"observe: wishes are recorded and shown, nothing is done; act: they are carried out"`
	Min     int                   `yaml:"min" required:"true" doc:"the fewest members, at least 1"`
	Max     int                   `yaml:"max" required:"true" doc:"the most members"`
	Signals map[string]signalRule `yaml:"signals" required:"true" doc:"measures of load by name; the largest wish of all counts; cpu and memory are built in"`
	Holds   map[string]holdRule   `yaml:"holds" doc:"conditions, by name, that forbid a direction"`
	Out     pace                  `yaml:"out" default:"{window: 0s, limit: {larger_of: [100%, 4], every: 1m}}" doc:"how soon and how fast members are added"`
	In      pace                  `yaml:"in" default:"{window: 5m, limit: {larger_of: [25%, 1], every: 2m}}" doc:"how soon and how fast members are removed"`
	Warmup  model.Duration        `yaml:"warmup" default:"60s" doc:"how long a ready member does not yet show its true load"`
	Missing missingRule           `yaml:"missing" doc:"what is thought of members that were not heard of"`
}

// Later names the fields of later versions.
func (scaleRule) Later() []string { return []string{"schedules", "predict", "budget"} }

// pace bounds how soon and how fast a pool changes in one direction.
type pace struct {
	Window model.Duration `yaml:"window" doc:"the most cautious wish within this time is acted on"`
	Limit  limit          `yaml:"limit" doc:"the most members that may come or go within a time"`
}

type limit struct {
	LargerOf []Amount       `yaml:"larger_of" doc:"the largest of these is allowed: numbers of members, or shares of the pool"`
	Every    model.Duration `yaml:"every" doc:"within this time"`
}

type missingRule struct {
	Coverage Percent         `yaml:"coverage" default:"80%" doc:"share of the members that must be heard of for a signal to permit scale-in"`
	Stale    *model.Duration `yaml:"stale" doc:"a raw sample older than this is no answer; by default three scrape intervals, at least 5s"`
	Hold     model.Duration  `yaml:"hold" default:"3m" doc:"how long a missing signal keeps the size"`
	Then     then            `yaml:"then" doc:"what a signal wants that is missing for longer than hold; by default it goes on keeping the size"`
}

type then struct {
	AtLeast *int `yaml:"at_least" required:"true" doc:"the size that a missing signal then wants at least"`
}

// scale makes a rule of what was written, noting what contradicts itself.
func (l *loader) scale(pool string, w scaleRule, path string) rules.Scale {
	r := rules.Scale{
		Pool: pool, Rule: l.ref(path), Mode: w.Mode, Min: w.Min, Max: w.Max,
		Out: w.Out.rule(), In: w.In.rule(), Warmup: time.Duration(w.Warmup),
		Missing: rules.Missing{
			Coverage: float64(w.Missing.Coverage) / 100,
			Stale:    max(3*l.known.Interval, 5*time.Second),
			Hold:     time.Duration(w.Missing.Hold),
		},
	}
	if s := w.Missing.Stale; s != nil {
		r.Missing.Stale = time.Duration(*s)
	}
	if n := w.Missing.Then.AtLeast; n != nil {
		r.Missing.AtLeast = *n
	}
	l.checkSize(w, path)
	l.checkPace(w.Out, path+".out")
	l.checkPace(w.In, path+".in")
	l.checkMissing(w, r.Missing, path)
	for _, name := range sorted(w.Signals) {
		r.Signals = append(r.Signals, l.signal(pool, name, w.Signals[name], Path(path+".signals", name)))
	}
	for _, name := range sorted(w.Holds) {
		r.Holds = append(r.Holds, l.hold(pool, name, w.Holds[name], Path(path+".holds", name)))
	}
	return r
}

func (p pace) rule() rules.Pace {
	out := rules.Pace{Window: time.Duration(p.Window), Limit: rules.Limit{Every: time.Duration(p.Limit.Every)}}
	for _, a := range p.Limit.LargerOf {
		out.Limit.LargerOf = append(out.Limit.LargerOf, rules.Amount(a))
	}
	return out
}

// checkSize checks min, max and that there is a signal.
func (l *loader) checkSize(w scaleRule, path string) {
	switch {
	case Spoilt(l.spoilt, path+".min"):
	case w.Min < 1:
		l.wrong(path+".min", itoa(w.Min)+" is less than 1", "a pool keeps at least one member: an empty one could not be measured")
	case w.Max < w.Min:
		l.wrong(path+".max", "max "+itoa(w.Max)+" is less than min "+itoa(w.Min), "write min at most as large as max")
	}
	if len(w.Signals) == 0 {
		l.wrong(path+".signals", "names no signal", "write e.g. signals: {cpu: 60%}")
	}
}

// checkPace checks one direction's window and limit.
func (l *loader) checkPace(p pace, path string) {
	if p.Limit.Every <= 0 {
		l.wrong(path+".limit.every", "0s is no time within which members could be counted", "write it like 1m")
	}
	if len(p.Limit.LargerOf) == 0 {
		l.wrong(path+".limit.larger_of", "allows no change at all", "write it like [25%, 1]; to forbid a direction under a condition, use holds")
	}
	for i, a := range p.Limit.LargerOf {
		if a.Members == 0 && a.Percent == 0 {
			l.wrong(index(path+".limit.larger_of", i), "an amount of nothing", "write 1 or more members, or a share like 25%")
		}
	}
}

// checkMissing checks what is thought of missing members.
func (l *loader) checkMissing(w scaleRule, m rules.Missing, parent string) {
	path := parent + ".missing"
	if m.Coverage <= 0 || m.Coverage > 1 {
		l.wrong(path+".coverage", "is outside of 0% to 100%", "write it like 80%; 0% would let a pool shrink unheard")
	}
	if m.Stale < l.known.Interval {
		l.wrong(path+".stale", "is shorter than the scrape interval of "+model.Duration(l.known.Interval).String()+", so every sample would be too old", "write at least two scrape intervals, or leave it out")
	}
	size := !Spoilt(l.spoilt, parent+".min") && !Spoilt(l.spoilt, parent+".max")
	if n := w.Missing.Then.AtLeast; n != nil && size && (*n < w.Min || *n > w.Max) {
		l.wrong(path+".then.at_least", itoa(*n)+" is outside of min "+itoa(w.Min)+" to max "+itoa(w.Max), "")
	}
}
