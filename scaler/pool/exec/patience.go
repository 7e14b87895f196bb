package exec

import (
	"errors"
	"fmt"
	"time"
)

// A program whose list failed is left alone for a second, for twice as long after each
// further failure, and for a minute at the most; where it says itself for how long, for
// as long as that, and ten minutes at the most.
const (
	firstPause    = time.Second
	mostPause     = time.Minute
	mostSaidPause = 10 * time.Minute
)

// errPatience is why a program is left alone that did not fail.
var errPatience = errors.New("it asked for that")

// patience is until when a program is left alone, and why.
type patience struct {
	until  time.Time
	failed int // lists in a row
	why    error
}

// leftAlone is an error while the program is not to be run.
func (p *Pool) leftAlone() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.now().Before(p.patience.until) {
		return nil
	}
	return fmt.Errorf("%s is not asked again before %s: %w", p.cfg.Command[0], p.patience.until.UTC().Format(time.TimeOnly), p.patience.why)
}

// listed notes how a list ended: one that failed leaves nothing known.
func (p *Pool) listed(failure error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if failure == nil {
		p.patience.failed = 0
		return
	}
	p.list = nil
	p.wait(min(firstPause<<min(p.patience.failed, 10), mostPause), failure)
	p.patience.failed++
}

// heed leaves the program alone for as long as it says.
func (p *Pool) heed(a answer) {
	if a.RetryAfter == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	why := errPatience
	if a.Error != "" {
		why = errors.New(a.Error)
	}
	p.wait(time.Duration(min(a.RetryAfter, mostSaidPause.Seconds())*float64(time.Second)), why)
}

// wait leaves the program alone for d, unless it is for longer. p.mu is held.
func (p *Pool) wait(d time.Duration, why error) {
	if until := p.now().Add(d); until.After(p.patience.until) {
		p.patience.until, p.patience.why = until, why
	}
}
