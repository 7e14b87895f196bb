package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// An Op is one kind of request.
type Op string

// The operations.
const (
	Create Op = "create"
	Read   Op = "read"
	Update Op = "update"
	Delete Op = "delete"
)

// maxShare bounds an operation's share of a mix.
const maxShare = 1_000_000

// Mix is how often each operation is drawn, relative to the others.
type Mix struct{ Create, Read, Update, Delete int }

func (m Mix) total() int { return m.Create + m.Read + m.Update + m.Delete }

// ParseMix reads shares such as create=10,read=70,update=15,delete=5. What is not
// named has none.
func ParseMix(s string) (Mix, error) {
	var m Mix
	shares := map[Op]*int{Create: &m.Create, Read: &m.Read, Update: &m.Update, Delete: &m.Delete}
	for part := range strings.SplitSeq(s, ",") {
		name, number, found := strings.Cut(strings.TrimSpace(part), "=")
		share, known := shares[Op(name)]
		if !found || !known {
			return Mix{}, fmt.Errorf("parse mix %q: %q is not create=N, read=N, update=N or delete=N, or comes twice", s, part)
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > maxShare {
			return Mix{}, fmt.Errorf("parse mix %q: %q is not a number from 0 to %d", s, number, maxShare)
		}
		*share = n
		delete(shares, Op(name))
	}
	if m.total() == 0 {
		return Mix{}, fmt.Errorf("parse mix %q: %w", s, errors.New("every share is 0"))
	}
	return m, nil
}

// An Item is a product of the run as the service last confirmed it.
type Item struct {
	ID   string
	ETag string
}

// deck deals operations and the products to do them to. A product is dealt to one
// request at a time, so what the answer has to be is known: nobody else of this
// run changes it, and the prefix keeps other runs away.
type deck struct {
	mu     sync.Mutex
	mix    Mix
	prefix string
	rng    *rand.Rand
	made   int
	free   []Item
}

func newDeck(m Mix, prefix string, seed uint64) *deck {
	return &deck{mix: m, prefix: prefix, rng: rand.New(rand.NewPCG(seed, 0))}
}

// draw deals an operation by the mix. Where there is no product to do it to, it is
// a create instead.
func (d *deck) draw() (Op, Item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	op := d.pick(d.rng.IntN(d.mix.total()))
	if op == Create || len(d.free) == 0 {
		d.made++
		return Create, Item{ID: d.prefix + strconv.Itoa(d.made)}
	}
	i, last := d.rng.IntN(len(d.free)), len(d.free)-1
	it := d.free[i]
	d.free[i] = d.free[last]
	d.free = d.free[:last]
	return op, it
}

func (d *deck) pick(n int) Op {
	for _, share := range []struct {
		op Op
		n  int
	}{{Create, d.mix.Create}, {Read, d.mix.Read}, {Update, d.mix.Update}} {
		if n < share.n {
			return share.op
		}
		n -= share.n
	}
	return Delete
}

// put takes a product back. One whose request failed is in a state that nobody
// knows: it is not dealt again.
func (d *deck) put(op Op, it Item, ok bool) {
	if !ok || op == Delete {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = append(d.free, it)
}
