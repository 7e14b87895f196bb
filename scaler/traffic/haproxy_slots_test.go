package traffic

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/collector/haproxy"
	"flyball/rules"
)

// backendModel is a backend of HAProxy in memory: some slots, and two servers of
// the user's.
type backendModel struct {
	t       *testing.T
	servers []haproxy.Server
}

func newBackendModel(t *testing.T, slots int) *backendModel {
	m := &backendModel{t: t, servers: []haproxy.Server{
		{Name: "old", Addr: netip.MustParseAddrPort("127.0.0.9:8080"), State: haproxy.Running},
		{Name: "spare", Host: "localhost", Addr: netip.MustParseAddrPort("127.0.0.1:8080"), Admin: haproxy.ForcedMaint},
	}}
	for i := range slots {
		m.servers = append(m.servers, haproxy.Server{
			Name: fmt.Sprint("web", i+1), Host: "localhost", Addr: vacantAddr(), Admin: haproxy.ForcedMaint | haproxy.ConfiguredMaint,
		})
	}
	return m
}

// obey does what an order says, as HAProxy does.
func (m *backendModel) obey(o order) {
	s := &m.servers[slices.IndexFunc(m.servers, func(s haproxy.Server) bool { return s.Name == o.server })]
	if s.Name == "old" || s.Name == "spare" {
		m.t.Fatalf("a server of the user's was told %q", o.words)
	}
	const admin = haproxy.ForcedMaint | haproxy.ForcedDrain
	switch o.words {
	case "state ready":
		s.Admin &^= admin
		s.State = haproxy.Running
	case "state drain":
		s.Admin = s.Admin&^admin | haproxy.ForcedDrain
	case "state maint":
		s.Admin = s.Admin&^admin | haproxy.ForcedMaint
	default:
		var ip string
		var port int
		if _, err := fmt.Sscanf(o.words, "addr %s port %d", &ip, &port); err != nil {
			m.t.Fatalf("the order %q is not understood", o.words)
		}
		if !s.Maint() || !vacant(*s) && !idle(*s) {
			m.t.Fatalf("%+v was told %q while requests may be on their way", *s, o.words)
		}
		s.Addr = netip.MustParseAddrPort(fmt.Sprintf("%s:%d", ip, port))
	}
}

// settle does as [HAProxy.settle] does.
func (m *backendModel) settle(t *slots, now time.Time) {
	m.t.Helper()
	for range rounds {
		t.fit(m.servers, now)
		os := t.orders(m.servers)
		if len(os) == 0 {
			return
		}
		for _, o := range os {
			m.obey(o)
		}
	}
	m.t.Fatalf("it does not settle: %+v, told %v", m.servers, t.orders(m.servers))
}

// lawful checks what must be so whenever all was told.
func (m *backendModel) lawful(t *slots) {
	m.t.Helper()
	by, serves := byName(m.servers), map[string]bool{"old": true}
	free := slices.ContainsFunc(m.servers, func(s haproxy.Server) bool {
		return vacant(s) && !slices.ContainsFunc(t.Places, func(p place) bool { return p.Slot == s.Name })
	})
	for _, p := range t.Places {
		s := by[p.Slot]
		switch {
		case p.In && p.Slot == "":
			if free || slices.ContainsFunc(t.Places, func(o place) bool { return !o.In && o.Slot != "" && idle(by[o.Slot]) }) {
				m.t.Errorf("%s has no slot while there is one", p.Name)
			}
		case p.In:
			serves[p.Slot] = true
			if s.Addr != p.Addr || s.Maint() || s.Drain() {
				m.t.Errorf("%s is in rotation, and its server is %+v", p.Name, s)
			}
		case p.Slot != "" && (s.Addr != p.Addr || !s.Maint() && !s.Drain()):
			m.t.Errorf("%s is out of rotation, and its server is %+v", p.Name, s)
		}
	}
	for _, s := range m.servers {
		if !serves[s.Name] && !strings.HasPrefix(s.Addr.String(), "127.9.") && !s.Maint() && !s.Drain() {
			m.t.Errorf("%+v gets requests and is nobody's", s)
		}
	}
	raw, err := json.Marshal(t)
	if err != nil {
		m.t.Fatal(err)
	}
	kept, err := decodeSlots(raw)
	if err != nil {
		m.t.Errorf("what is kept cannot be read: %v\n%s", err, raw)
	}
	*t = kept // as after a restart
}

// disturb does to HAProxy what others do.
func (m *backendModel) disturb(r *rand.Rand, before []haproxy.Server) {
	s := &m.servers[2+r.IntN(len(m.servers)-2)]
	switch r.IntN(5) {
	case 0: // started anew without its file
		m.servers = newBackendModel(m.t, len(m.servers)-2).servers
	case 1: // reloaded with a file that is old
		m.servers = slices.Clone(before)
	case 2: // somebody else takes a slot
		if vacant(*s) {
			s.Addr = netip.AddrPortFrom(netip.MustParseAddr("127.9.0.1"), uint16(1+r.IntN(9)))
		}
	case 3: // or gives it back, in his way
		if strings.HasPrefix(s.Addr.String(), "127.9.") {
			s.Addr = vacantAddr()
		}
	case 4:
		s.Admin ^= haproxy.ForcedMaint
	}
}

func TestWhateverHappensMembersHaveTheirSlots(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newBackendModel(t, 1+r.IntN(6))
		table := &slots{Backend: "be"}
		before := slices.Clone(m.servers)
		for step := range 60 {
			now := time.Unix(int64(step), 0)
			n := r.IntN(8)
			x := rules.Member{ID: rules.MemberID(fmt.Sprint(n)), Name: fmt.Sprint(n), Addr: fmt.Sprintf("10.1.0.1:%d", 1+(n+r.IntN(6)/5)%8)}
			switch r.IntN(6) {
			case 0, 1:
				if err := table.admit(x, now); err != nil {
					t.Fatal(err)
				}
			case 2:
				table.withdraw(x, now)
			case 3:
				table.seal(m.servers)
			case 4:
				for i := range m.servers {
					if !m.servers[i].Maint() || r.IntN(2) == 0 {
						m.servers[i].Sessions = r.IntN(3)
					}
				}
			case 5:
				m.disturb(r, before)
			}
			if r.IntN(8) == 0 && len(table.Places) > 0 {
				table.vacate(r.IntN(len(table.Places)), now)
			}
			m.settle(table, now)
			if m.lawful(table); t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
			if r.IntN(4) == 0 {
				before = slices.Clone(m.servers)
			}
		}
	}
}

func TestMembersThatAreGoneLoseTheirSlots(t *testing.T) {
	start := time.Unix(1e9, 0)
	table := &slots{Backend: "be"}
	m := newBackendModel(t, 4)
	member := func(name string) rules.Member {
		return rules.Member{ID: rules.MemberID(name), Name: name, Addr: fmt.Sprintf("127.1.0.%d:80", len(name))}
	}
	for _, name := range []string{"in", "out", "busy", "quiet"} {
		if err := table.admit(member(name), start); err != nil {
			t.Fatal(err)
		}
	}
	m.settle(table, start)
	for _, name := range []string{"out", "busy", "quiet"} {
		table.withdraw(member(name), start)
	}
	m.settle(table, start)
	for i := range m.servers {
		if m.servers[i].Addr.String() == "127.1.0.4:80" { // busy
			m.servers[i].Sessions = 1
		}
		m.servers[i].State = haproxy.Stopped
	}
	gone := map[rules.MemberID]bool{"in": true, "out": true, "busy": true} // quiet answers
	for _, tt := range []struct {
		after time.Duration
		want  []string
	}{
		{59 * time.Second, []string{"busy", "in", "out", "quiet"}},
		{time.Minute, []string{"busy", "in", "quiet"}},
		{time.Hour, []string{"busy", "in", "quiet"}}, // in was found gone for the first time a minute ago
		{time.Hour + time.Minute, []string{"busy", "quiet"}},
	} {
		now := start.Add(tt.after)
		table.mourn(table.doubtful(m.servers, now), gone, now)
		var left []string
		for _, p := range table.Places {
			left = append(left, p.Name)
		}
		slices.Sort(left)
		if diff := cmp.Diff(tt.want, left); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", tt.after, diff)
		}
	}
	m.settle(table, start)
	if n := len(slices.DeleteFunc(m.servers, func(s haproxy.Server) bool { return !vacant(s) })); n != 2 {
		t.Errorf("%d slots are vacant, want those of in and out", n)
	}
	table.forget(m.servers, start.Add(3*time.Hour))
	if len(table.Former) != 0 {
		t.Errorf("still remembered: %v", table.Former)
	}
}

func TestAnEarlierProcessIsTakenToFinishRequestsWhereItCannotBeSeen(t *testing.T) {
	for _, tt := range []struct {
		b    haproxy.Backend
		near bool
		want bool
	}{
		{haproxy.Backend{Worker: 1 << 30, Uptime: time.Second}, false, true}, // nobody has this number
		{haproxy.Backend{Worker: 1 << 30, Uptime: time.Hour}, false, false},
		{haproxy.Backend{Worker: 1 << 30, Uptime: time.Hour}, true, true}, // any more
		{haproxy.Backend{Worker: 1, Uptime: time.Second}, false, true},    // is no worker
	} {
		h := HAProxy{near: tt.near}
		if got := h.finishing(tt.b); got != tt.want {
			t.Errorf("finishing(%+v) is %t, want %t", tt.b, got, tt.want)
		}
	}
}

func TestOnlyWhatLastsIsCompared(t *testing.T) {
	state := func(change, check, admin string) string {
		return "1\n# be_name srv_name srv_admin_state srv_time_since_last_change srv_check_state\nbe web1 " + admin + " " + change + " " + check + "\n"
	}
	for _, tt := range []struct {
		other string
		same  bool
	}{
		{state("1", "6", "0"), true},
		{state("9", "7", "0"), true},
		{state("1", "6", "8"), false},
		{"", false},
	} {
		if got := lasting(tt.other) == lasting(state("1", "6", "0")); got != tt.same {
			t.Errorf("%q is the same: %t, want %t", tt.other, got, tt.same)
		}
	}
}

func FuzzSlots(f *testing.F) {
	f.Add([]byte(`{"backend":"be","places":[{"id":"a","addr":"127.0.0.1:80","slot":"web1","in":true}],"former":{"127.0.0.1:81":"2026-11-21T00:00:00Z"}}`))
	f.Add([]byte(`{"places":[{"id":"a","addr":""},{"id":"a","slot":"x"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, err := decodeSlots(raw)
		if err != nil {
			return
		}
		m := newBackendModel(t, 3)
		m.settle(&table, time.Unix(0, 0))
		m.lawful(&table)
	})
}
