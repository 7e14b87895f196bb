package emulate

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"time"
)

// NewWorld makes a world in which there is nothing yet.
func NewWorld(o Options) *World {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BootMin <= 0 {
		o.BootMin = 20 * time.Second
	}
	if o.BootMax <= 0 {
		o.BootMax = time.Minute
	}
	o.BootMax = max(o.BootMax, o.BootMin)
	return &World{o: o, at: o.Now(), thrown: map[string]uint64{}}
}

// Run lets happen what is due, every 100 ms, until ctx ends. Without it, it happens
// when something is asked, which looks the same to who asks, but the programs of
// machines start and end only then.
func (w *World) Run(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.hold()
			w.mu.Unlock()
		}
	}
}

// Close halts every machine. The world can still be asked.
func (w *World) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.machines {
		w.cut(m)
	}
}

// hold locks the world and lets happen what is due by now. Time is walked in steps
// of a second, so that what follows from something happens at its time too; a gap of
// more than an hour is walked in 3,600 steps.
func (w *World) hold() {
	w.mu.Lock()
	now := w.o.Now()
	step := max(time.Second, now.Sub(w.at)/3600)
	for w.at.Before(now) {
		next := w.at.Add(step)
		if next.After(now) {
			next = now
		}
		w.at = next
		w.settleMachines()
		for _, s := range w.services {
			s.settle()
		}
	}
}

// dice are thrown for one thing, named so that what is thrown for others at the same
// time, in whatever order, does not change it. The nth throw for a name is the same
// in every world of the same seed.
func (w *World) dice(name string) *rand.Rand {
	w.thrown[name]++
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(w.o.Seed^h.Sum64(), w.thrown[name]))
}

// between draws a duration from least to most.
func between(d *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(d.Int64N(int64(most-least)+1))
}

// address gives the next address that nobody has to a machine in which nothing runs:
// where programs run in others it is one of this machine, so that whoever asks there
// asks no stranger.
func (w *World) address() netip.Addr {
	w.made++
	n := w.made
	if w.o.Machines != nil {
		return netip.AddrFrom4([4]byte{127, 128 | byte(n>>16), byte(n >> 8), byte(n)})
	}
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// due says whether a time was set and has come.
func (w *World) due(t time.Time) bool { return !t.IsZero() && !t.After(w.at) }
