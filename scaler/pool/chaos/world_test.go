package chaos

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
)

// A world is one run: a cloud, what is sent to its machines, and Flyball, which is
// killed and begins anew.
type world struct {
	t      *testing.T
	seed   uint64
	dice   *rand.Rand
	dir    string // the data folder
	rule   *rules.Scale
	cloud  *cloud
	reaper *reaper
	killed bool      // a member's program was ended
	wiped  time.Time // when the data folder was lost last
	ledger *ledger
	said   *said
	out    io.Writer

	mu       sync.Mutex // what follows
	load     float64
	silent   bool                            // queries answer nothing
	balanced map[rules.MemberID]rotation     // a balancer that is not the cloud's
	open     map[rules.MemberID]int          // requests that do not end
	verbs    map[journal.Verb]time.Time      // when a step of each with victims began first
	shrunk   rules.Decision                  // the last that made the pool smaller
	judged   int                             // looks so far
	members  []rules.Member                  // as last looked
	seen     map[rules.MemberID]rules.Member // whoever was listed, as last
	terms    rules.Terms
	failing  error                   // the last look's
	broken   time.Time               // when others last did something to the machines, or lists may have lied
	lies     int                     // how often lists were made to lie so far
	doomed   map[rules.MemberID]bool // were in rotation no more when the data folder was lost
	faults   []string                // what is wrong, as found
}

// rotation is what a balancer knows of a member.
type rotation struct {
	m   rules.Member
	out bool
}

func newWorld(t *testing.T, kind string, seed uint64) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		t: t, seed: seed, dice: rand.New(rand.NewPCG(seed, 28)), dir: dir, ledger: newLedger(),
		reaper: &reaper{dice: rand.New(rand.NewPCG(seed, 9))}, cloud: newCloud(t, kind, seed, dir),
		rule: shareRule(), load: 1, balanced: map[rules.MemberID]rotation{}, doomed: map[rules.MemberID]bool{},
		open: map[rules.MemberID]int{}, seen: map[rules.MemberID]rules.Member{}, verbs: map[journal.Verb]time.Time{},
	}
	w.said = &said{}
	w.out = w.said
	if testing.Verbose() && *oneSeed >= 0 {
		w.out = t.Output()
	}
	return w
}

// twin is the same cloud with another Flyball, that has a data folder of its own.
func (w *world) twin() *world {
	out := newWorld(w.t, "droplets", w.seed)
	out.cloud = w.cloud
	return out
}

// shareRule wants 14 of the load for each of 2 to 8 members.
func shareRule() *rules.Scale {
	return &rules.Scale{
		Pool: "web", Rule: "web.scale.yaml:2", Mode: rules.Act, Min: least, Max: most,
		Signals: []rules.Signal{{Name: "requests", Query: rules.PromQL{Pool: "web", Expr: "requests"}, Scope: rules.PerMember, Share: share}},
		Out:     rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 100}, {Members: 4}}, Every: time.Minute}},
		In:      rules.Pace{Window: time.Minute, Limit: rules.Limit{LargerOf: []rules.Amount{{Percent: 25}, {Members: 1}}, Every: 30 * time.Second}},
		Warmup:  20 * time.Second, Missing: rules.Missing{Coverage: 0.8, Stale: 15 * time.Second, Hold: time.Minute},
	}
}

const (
	least = 2
	most  = 8
	share = 14
)

// dial connects to a machine whose program serves.
func (w *world) dial(_ context.Context, _, addr string) (net.Conn, error) {
	for _, m := range w.cloud.machines() {
		if m.addr == addr && m.serving {
			there, here := net.Pipe()
			_ = there.Close()
			return here, nil
		}
	}
	return nil, errors.New("nobody listens at " + addr)
}

// looked takes down what Flyball sees.
func (w *world) looked(ms []rules.Member, terms rules.Terms, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judged++
	if w.failing = err; err == nil {
		w.members, w.terms = slices.Clone(ms), terms // the loop writes into its own
		for _, m := range ms {
			w.seen[m.ID] = m
		}
	}
}

// set changes the world from outside.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// querier answers the load, shared by the members in rotation that serve.
type querier struct{ w *world }

func (q querier) Query(_ context.Context, _ rules.Query, at time.Time) (rules.Reading, error) {
	w := q.w
	serving := map[string]machine{}
	for _, m := range w.cloud.machines() {
		if m.serving && m.addr != "" {
			serving[m.addr] = m
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silent {
		return rules.Reading{}, rules.ErrNoData
	}
	r := rules.Reading{Seen: map[string]time.Time{}}
	for _, m := range w.members {
		if is, there := serving[m.Addr]; there && w.inRotation(m, is) {
			r.Points = append(r.Points, rules.Point{Member: m.Name})
			r.Seen[m.Name], r.Newest = at, at
		}
	}
	for i := range r.Points {
		r.Points[i].Value = w.load / float64(len(r.Points))
	}
	if len(r.Points) == 0 {
		return rules.Reading{}, rules.ErrNoData
	}
	return r, nil
}

// inRotation says whether a member gets requests. w.mu is held.
func (w *world) inRotation(m rules.Member, is machine) bool {
	if w.byTag() {
		return is.tagged
	}
	r, known := w.balanced[m.ID]
	return known && !r.out
}

func (w *world) byTag() bool {
	d := w.cloud.config.DigitalOcean
	return d != nil && d.Droplets != nil && d.Droplets.TrafficTag != ""
}

// traffic is a balancer as a life sees it; what it was told outlives the life.
type traffic struct{ l *life }

func (t traffic) Admit(_ context.Context, ms []rules.Member) error { return t.tell(ms, false) }

func (t traffic) Withdraw(_ context.Context, ms []rules.Member) error { return t.tell(ms, true) }

func (t traffic) tell(ms []rules.Member, out bool) error {
	return t.l.deed(func() error {
		t.l.w.set(func() {
			for _, m := range ms {
				t.l.w.balanced[m.ID] = rotation{m, out}
			}
		})
		return nil
	})
}

func (t traffic) Open(context.Context) (open map[rules.MemberID]int, err error) {
	err = t.l.call(func() error {
		open = map[rules.MemberID]int{}
		t.l.w.set(func() {
			for id := range t.l.w.balanced {
				open[id] = t.l.w.open[id]
			}
		})
		return nil
	})
	return open, err
}
