package demo

import (
	"fmt"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// An outage is how the pool was judged while Elasticsearch was cut off, and after.
type outage struct {
	held   int            // judgements that kept the size because nothing was heard
	others []string       // judgements after the first of those that were something else
	wentOn *time.Duration // from its return to the first judgement by the signal
}

// judged finds an outage in the pool's judgements, oldest first.
func judged(ticks []journal.Tick, cut, mend time.Time) outage {
	var o outage
	for _, t := range ticks {
		d := t.Out
		silent := d.Verdict == rules.Keep && d.Reason == rules.MissingData
		switch {
		case d.At.Before(cut):
		case d.At.Before(mend) && silent:
			o.held++
		case d.At.Before(mend) && o.held > 0:
			o.others = append(o.others, d.Line())
		case d.At.Before(mend): // what was heard last still counts
		case o.wentOn == nil && heard(d):
			took := d.At.Sub(mend)
			o.wentOn = &took
		}
	}
	return o
}

// heard reports whether all signals of a decision were.
func heard(d rules.Decision) bool {
	for _, s := range d.Signals {
		switch s.Reason {
		case rules.MissingData, rules.StaleData, rules.LowCoverage:
			return false
		}
	}
	return len(d.Signals) > 0
}

// cutOff cuts Flyball off from Elasticsearch, which goes on for everybody else.
func (s *show) cutOff(now time.Time) {
	s.stage.elastic.gate.shut()
	s.history.cut, s.history.mend = now, time.Time{}
	sc := s.stage.script
	s.history.note(now, "Elasticsearch is cut off for %s: the pool is to hold (%s)", sc.mend-sc.cut, rules.MissingData)
}

// reconnect ends that.
func (s *show) reconnect(now time.Time) {
	s.stage.elastic.gate.open()
	s.history.mend = now
	s.history.note(now, "Elasticsearch is back: the pool is to go on")
}

// failed names what an outage should have shown and did not.
func (o outage) failed() error {
	switch {
	case o.held == 0:
		return fmt.Errorf("%w: Elasticsearch was cut off, and no judgement held the pool for it", ErrFailed)
	case len(o.others) > 0:
		return fmt.Errorf("%w: while Elasticsearch was cut off, the pool was judged otherwise: %s", ErrFailed, o.others[0])
	case o.wentOn == nil:
		return fmt.Errorf("%w: the signal was not heard again after Elasticsearch was back", ErrFailed)
	}
	return nil
}
