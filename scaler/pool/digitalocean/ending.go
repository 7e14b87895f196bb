package digitalocean

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/digitalocean/godo"
)

// means is what ends a member.
type means int

// From the gentlest on: one that does not end a member in its time makes way for the next.
const (
	shutdown means = iota
	powerOff
	deletion
)

// ending is how far the end of a member has come. What was asked is asked again from
// time to time until the Droplet is gone.
type ending struct {
	asked time.Time // when it was first asked to end
	next  time.Time // when something is done again

	by       means     // what is to end it now
	answered time.Time // when that was first answered, with whatever; zero: it was not
	accepted time.Time // when it was accepted; zero: it was not
	failed   int       // how often in a row it was to no avail
	code     int       // of the last answer
	why      string    // it was to no avail
	told     bool      // the log says so; that it cannot be deleted is said by itself
}

// enough is how often in a row a means is to no avail before it is believed.
const enough = 3

// lockedTime is the least time for a Droplet in which something else is under way to
// be powered off; it may be its own shutdown, which takes up to two minutes if it is
// not obeyed. Its deletion would be refused as well.
const lockedTime = 3 * time.Minute

// note says how far it is, or why no further.
func (e *ending) note() string {
	todo, done := e.by.words()
	switch {
	case e.why != "":
		return fmt.Sprintf("%s; tried %d times, again at %s", e.why, e.failed, clock(e.next))
	case !e.accepted.IsZero():
		return done
	case e.by == shutdown:
		return "asked to end"
	default:
		return todo
	}
}

// words are what notes call a means that is to be used, and one that was.
func (m means) words() (todo, done string) {
	switch m {
	case shutdown:
		return "to be shut down", "shutting down"
	case powerOff:
		return "to be powered off", "powered off"
	default:
		return "to be deleted", "deleted"
	}
}

// harder returns what is to end a Droplet now: the next means, if what was to end it
// has not done so within its grace, or was refused for as long.
func (e *ending) harder(d godo.Droplet, now time.Time, grace time.Duration) means {
	since := e.accepted
	if since.IsZero() {
		since = e.answered
		if e.by == powerOff && e.code == http.StatusUnprocessableEntity {
			grace = max(grace, lockedTime)
		}
	}
	tried := !e.accepted.IsZero() || e.failed >= enough
	switch {
	case d.Status != statusActive || e.by == deletion:
		return deletion
	case tried && !since.IsZero() && now.Sub(since) >= grace:
		return e.by + 1
	default:
		return e.by
	}
}

// isDue reports whether there is something to be done to a Droplet. One that was told
// to shut down, or is being powered off, is left alone for its grace.
func (e *ending) isDue(d godo.Droplet, now time.Time, grace time.Duration) bool {
	waits := e.by != deletion && !e.accepted.IsZero()
	return e.harder(d, now, grace) != e.by || !waits && !now.Before(e.next)
}

// advance does the next thing to one that is to end.
func (p *droplets) advance(ctx context.Context, d godo.Droplet) error {
	if err := ctx.Err(); err != nil { // nothing was asked, so that nothing has failed
		return err
	}
	p.mu.Lock()
	known := p.endings[d.ID]
	if known == nil { // gone since, a list says
		p.mu.Unlock()
		return nil
	}
	e := *known
	p.mu.Unlock()
	if by := e.harder(d, p.now(), p.spec.Grace); by != e.by {
		if d.Status == statusActive {
			todo, _ := by.words()
			p.log.Warn("member is ended the hard way", "member", d.Name, "droplet", d.ID, "after", p.now().Sub(e.asked), "now", todo, "why", cmp.Or(e.why, "its grace is over"))
		}
		e = ending{asked: e.asked, by: by, told: e.told && by != deletion}
	}
	var err error
	switch e.by {
	case shutdown:
		_, _, err = p.account.write.DropletActions.Shutdown(ctx, d.ID)
	case powerOff:
		_, _, err = p.account.write.DropletActions.PowerOff(ctx, d.ID)
	default:
		_, err = p.account.write.Droplets.Delete(ctx, d.ID)
	}
	return p.advanced(d, e, err)
}

// advanced remembers how far the end of a Droplet is. That something else is under way
// in it, or that calls are short, is no error.
func (p *droplets) advanced(d godo.Droplet, e ending, err error) error {
	code, now := statusOf(err), p.now()
	if code == http.StatusNotFound {
		p.ended(d)
		return nil
	}
	isShort := errors.Is(err, errSpent) || code == http.StatusTooManyRequests
	if !isShort {
		e.learn(now, code, err)
	}
	e.next = now.Add(e.pause())
	if e.failed >= enough && !e.told {
		e.told = true
		p.log.Warn("a member that was asked to end does not go; it is tried again and again, up to two minutes apart",
			"member", d.Name, "droplet", d.ID, "since", e.asked, "why", e.why)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endings[d.ID] != nil {
		p.endings[d.ID] = &e
	}
	if err == nil || code == http.StatusUnprocessableEntity || isShort {
		return nil
	}
	return explain("ask for its end", err)
}

// ended remembers that a Droplet is gone, whatever lists say.
func (p *droplets) ended(d godo.Droplet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.endings, d.ID)
	delete(p.births, d.ID)
	p.gone[d.ID] = p.now()
	p.log.Info("member is gone", "member", d.Name, "droplet", d.ID)
}

// learn takes over what came of a call.
func (e *ending) learn(now time.Time, code int, err error) {
	e.code = code
	isSaid := err == nil || code == http.StatusUnprocessableEntity
	switch {
	case isSaid && !e.accepted.IsZero(): // being deleted already, and it should not take long
		e.failed++
		e.why = "deleted at " + clock(e.accepted) + ", DigitalOcean said, and it is still there"
		return
	case err == nil:
		e.accepted, e.failed, e.why, e.told = now, 0, "", false
	default:
		e.failed++
		todo, _ := e.by.words()
		e.why = explain(todo, err).Error()
	}
	if (err == nil || code != 0) && e.answered.IsZero() {
		e.answered = now
	}
}

// How far apart the same is asked of a Droplet again: twice as far each time that it
// is to no avail. A part of it is chance, so that those of one step do not ask together.
const (
	askPause    = 2 * time.Second
	deletePause = 10 * time.Second // after a deletion was accepted
	mostPause   = 100 * time.Second
	mostChance  = 20 * time.Second
)

// pause is how long a Droplet is left alone now.
func (e *ending) pause() time.Duration {
	pause := askPause
	if e.by == deletion && !e.accepted.IsZero() {
		pause = deletePause
	}
	pause = min(pause<<min(e.failed, 6), mostPause)
	return pause + rand.N(min(pause, mostChance))
}
