package gce

import (
	"context"
	"time"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
)

// An operation is waited for so long, asked so often. What it comes to later is
// read by later looks, for as long as Google may take.
const (
	operationWait  = 5 * time.Second
	operationPause = 500 * time.Millisecond
	operationTime  = 15 * time.Minute
	mostFollowed   = 8 // that one look asks about
)

// A pending operation is under way.
type pending struct {
	what    string
	since   time.Time
	grows   bool             // its failure is told by the next growth
	names   []string         // of the members that it makes: if it fails, they are dead
	victims []rules.MemberID // that it ends
}

// await waits a little for an operation, and returns what it ended with. One that
// takes longer is followed by looks.
func (p *Pool) await(ctx context.Context, op *compute.Operation, about pending) error {
	end := time.NewTimer(operationWait)
	defer end.Stop()
	tick := time.NewTicker(operationPause)
	defer tick.Stop()
	for op.Status != "DONE" {
		select {
		case <-end.C:
			p.later(op.Name, about)
			return nil
		case <-ctx.Done():
			p.later(op.Name, about)
			return nil
		case <-tick.C:
		}
		now, err := p.place.operation(ctx, op.Name)
		switch {
		case err == nil:
			op = now
		case isGone(err): // it is over: the members show what it came to
			return nil
		default:
			p.heed(err)
			p.later(op.Name, about)
			return nil
		}
	}
	return opened(op)
}

func (p *Pool) later(name string, about pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[name] = about
}

// follow asks what became of operations that a step did not wait for. One that
// cannot be asked about now is asked about again.
func (p *Pool) follow(ctx context.Context) {
	for name, about := range p.followed() {
		op, err := p.place.operation(ctx, name)
		if err != nil && !isGone(err) && p.now().Sub(about.since) < operationTime {
			p.heed(err)
			continue
		}
		if err == nil && op.Status != "DONE" && p.now().Sub(about.since) < operationTime {
			continue
		}
		p.close(name, about, opened(op))
	}
}

func (p *Pool) followed() map[string]pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]pending{}
	for name, about := range p.open {
		if len(out) < mostFollowed {
			out[name] = about
		}
	}
	return out
}

// close ends the following of an operation. Members that it did not make are dead,
// victims that it did not end are members as before.
func (p *Pool) close(name string, about pending, failure error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, name)
	if failure == nil {
		return
	}
	p.log.Warn("operation failed", "what", about.what, "operation", name, "err", failure)
	if about.grows {
		p.miscarry(about.names, failure)
	}
	for _, v := range about.victims {
		delete(p.ended, v)
	}
}
