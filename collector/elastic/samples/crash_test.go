package samples

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
)

// worlds is how many worlds are lived through.
var worlds = flag.Int("worlds", 60, "worlds in which shippers crash")

// A crash is the end of a process.
type crash struct{}

// A life is a world in which everything goes wrong that may.
type life struct {
	*world
	dice    *rand.Rand
	ship    *Shipper
	crashes int
	calm    bool // nothing goes wrong any more
	value   float64
	waiting [][]cluster.Document // sent by processes that died, and not arrived yet
}

// may says whether something goes wrong now.
func (l *life) may(oneIn int) bool { return !l.calm && l.dice.IntN(oneIn) == 0 }

// die ends the process, perhaps.
func (l *life) die(oneIn int) {
	if l.may(oneIn) {
		l.crashes++
		panic(crash{})
	}
}

// alive runs what a process does, and says whether it survived.
func (l *life) alive(do func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, died := r.(crash); !died {
				panic(r)
			}
			ok = false
			l.ship = nil
			l.world.store.mu.TryLock() // whoever held it is dead
			l.world.store.mu.Unlock()
		}
	}()
	do()
	return true
}

// arrive lets arrive what dead processes had sent.
func (l *life) arrive() {
	late := l.waiting
	l.waiting = nil
	for _, docs := range late {
		for _, d := range docs {
			got := l.es.read(d)
			if _, known := l.es.docs[got.id()]; !known && (l.es.refuse == nil || l.es.refuse(got) == nil) {
				l.es.docs[got.id()] = got
			}
		}
	}
}

func (l *life) begin() {
	l.es.before = func(docs []cluster.Document) int {
		l.die(30)
		if l.may(20) { // it dies while its request is on the way: some of it arrives, at once or soon
			n := l.dice.IntN(len(docs) + 1)
			for _, d := range docs[:n] {
				l.waiting = append(l.waiting, []cluster.Document{{Stream: d.Stream, Body: append([]byte(nil), d.Body...)}})
			}
			if l.dice.IntN(2) == 0 {
				l.arrive()
			}
			l.crashes++
			panic(crash{})
		}
		return len(docs)
	}
	l.es.after = func([]cluster.Document) { l.die(20) }
	l.es.fail = func(string, string) error {
		l.arrive() // what was sent before has arrived once the server answers
		l.die(40)
		if l.may(10) {
			return fmt.Errorf("no answer")
		}
		return nil
	}
	l.state.at = func(string) { l.die(60) }
	for l.ship == nil {
		l.alive(func() {
			s := l.world.ship()
			s.reader.most = 20 + l.dice.IntN(200)
			s.span = 1 + l.dice.Int64N(120_000)
			l.ship = s
			s.retry(l.t.Context(), s.adopt)
		})
	}
}

// scrape writes what targets tell now, most of it in time.
func (l *life) scrape(targets int) {
	now := time.Now()
	for i := range targets {
		at := now.Add(-time.Duration(l.dice.IntN(3000)) * time.Millisecond)
		if l.may(15) {
			at = now.Add(-time.Duration(l.dice.IntN(60)) * time.Second)
		}
		var ps []point
		for n := range 1 + l.dice.IntN(6) {
			l.value++
			ps = append(ps, point{series: named(fmt.Sprint("m", n), "target", fmt.Sprint(i)), at: at, value: l.value})
		}
		l.alive(func() {
			l.die(200)
			l.world.store.scrape(ps...)
		})
	}
}

// receive writes what others send: late, out of order, more names for labels and times
// that were sent.
func (l *life) receive() {
	sent := l.es.docs
	now := time.Now().Add(-time.Duration(l.dice.IntN(300)) * time.Second)
	target := fmt.Sprint(l.dice.IntN(4))
	for _, d := range sent { // one of those, at random
		if l.may(3) {
			now, target = d.At, d.Prometheus.Labels["target"]
		}
		break
	}
	var ps []point
	for range 1 + l.dice.IntN(4) {
		// The same series and time have the same number: which of several the store
		// keeps, it does not say.
		ps = append(ps, point{series: named(fmt.Sprint("r", l.dice.IntN(8)), "target", target), at: now, value: float64(now.UnixMilli() % 1e6)})
		if l.dice.IntN(3) == 0 {
			now = now.Add(-time.Duration(l.dice.IntN(20_000)) * time.Millisecond)
		}
	}
	l.alive(func() { l.world.store.receive(ps...) })
}

// live lives for some rounds.
func (l *life) live(rounds int) {
	for range rounds {
		if l.ship == nil {
			l.begin()
		}
		l.scrape(4)
		if l.dice.IntN(2) == 0 {
			l.receive()
		}
		if l.ship == nil { // it died of what was late
			continue
		}
		l.alive(func() {
			if err := l.ship.round(l.t.Context()); err != nil && !l.calm {
				return // tried again in the next round
			} else if err != nil {
				l.t.Error(err)
			}
		})
		sleep(context.Background(), 10*time.Second)
	}
}

// Whatever happens, each sample is there once: crashes at every step of the protocol,
// requests that arrive after their sender's death, samples that come late, out of order
// and under new names for labels and times that were sent.
func TestWhateverHappensEachSampleIsThereOnce(t *testing.T) {
	crashes := 0
	for seed := range *worlds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) {
				l := &life{world: w, dice: rand.New(rand.NewPCG(7, uint64(seed)))}
				l.live(40)
				l.calm = true
				l.live(3)
				for range 3 { // nothing is written any more
					sleep(w.t.Context(), mostMargin)
					if err := l.ship.round(w.t.Context()); err != nil {
						t.Error(err)
					}
				}
				same(t, w.store.samples(), w.es.samples())
				crashes += l.crashes
				if k := l.ship.ledger.get(); len(k.Dirty) > 0 {
					t.Errorf("dirty still: %+v", k)
				}
			})
		})
	}
	if crashes < *worlds {
		t.Errorf("only %d crashes", crashes)
	}
	t.Logf("%d crashes", crashes)
}
