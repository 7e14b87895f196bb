package cassandra

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A paper is a ring of which nothing is reached: what is found is said by the test.
type paper struct {
	*Ring
	t     *testing.T
	clock time.Time
	names map[string][]string
}

func newPaper(t *testing.T, c Config) *paper {
	c.Discover, c.Port = true, 9042
	p := &paper{Ring: watch(t, c), t: t, clock: time.Unix(1795170000, 0), names: map[string][]string{}}
	p.now = func() time.Time { return p.clock }
	p.lookup = func(_ context.Context, name string) ([]string, error) {
		if p.names[name] == nil {
			return nil, errors.New("no such host")
		}
		return p.names[name], nil
	}
	return p
}

// contacts finds the hosts of the configuration.
func (p *paper) contacts() {
	for _, h := range p.config.Hosts {
		p.contact(p.t.Context(), h)
	}
}

// answers says that the node at an address answers as a member of a ring, and
// lists others. It reports whether the node tells under that address.
func (p *paper) answers(address string, self member, peers ...member) bool {
	p.t.Helper()
	n := p.nodes[address]
	if n == nil {
		p.t.Fatalf("%s is not watched, but %v", address, p.watched())
	}
	n.mu.Lock()
	n.identity.up, n.identity.hostID = true, self.hostID
	n.move(place{self.dc, self.rack})
	n.mu.Unlock()
	if !p.claim(n) {
		return false
	}
	p.meet(n, view{self: self, peers: peers})
	return true
}

func (p *paper) fails(address string) {
	p.t.Helper()
	n := p.nodes[address]
	n.mu.Lock()
	defer n.mu.Unlock()
	n.identity.up = false
}

func (p *paper) watched() []string {
	var out []string
	for _, n := range p.known() {
		out = append(out, n.label)
	}
	slices.Sort(out)
	return out
}

func (p *paper) want(what string, labels ...string) {
	p.t.Helper()
	if d := cmp.Diff(labels, p.watched()); d != "" {
		p.t.Errorf("%s: watched (-want +got):\n%s", what, d)
	}
}

func at(id, address string) member {
	return member{hostID: id, dc: "dc1", rack: "r1", address: address, port: 9042}
}

func TestOthersAreFoundThroughOneAndGoAfterTheyLeft(t *testing.T) {
	p := newPaper(t, Config{Hosts: []string{"10.0.0.1"}})
	p.contacts()
	p.want("at the start", "10.0.0.1")
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"), at("3", "10.0.0.3"))
	p.want("through the first", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	p.answers("10.0.0.2:9042", at("2", "10.0.0.2"), at("1", "10.0.0.1"), at("3", "10.0.0.3"))

	p.clock = p.clock.Add(time.Hour)
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"), at("3", "10.0.0.3"))
	p.forget()
	p.want("one that is down and listed", "10.0.0.1", "10.0.0.2", "10.0.0.3")

	p.clock = p.clock.Add(goneAfter)
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"))
	p.forget()
	p.want("just after it left", "10.0.0.1", "10.0.0.2", "10.0.0.3")
	p.clock = p.clock.Add(time.Second)
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"))
	p.forget()
	p.want("a while after it left, another being up though nobody lists it", "10.0.0.1", "10.0.0.2")
	p.fails("10.0.0.1:9042")
	p.fails("10.0.0.2:9042")
	p.clock = p.clock.Add(time.Hour)
	p.forget()
	p.want("a contact point never goes", "10.0.0.1")
}

func TestANodeIsWatchedUnderOneAddress(t *testing.T) {
	t.Run("a contact point behind another address", func(t *testing.T) {
		p := newPaper(t, Config{Hosts: []string{"192.0.2.1", "192.0.2.2"}})
		p.contacts()
		p.answers("192.0.2.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"), at("3", "10.0.0.3"))
		p.want("the second did not answer yet", "10.0.0.2", "10.0.0.3", "192.0.2.1", "192.0.2.2")
		p.answers("192.0.2.2:9042", at("2", "10.0.0.2"), at("1", "10.0.0.1"), at("3", "10.0.0.3"))
		p.want("the second is the one found", "10.0.0.3", "192.0.2.1", "192.0.2.2")
		p.fails("192.0.2.1:9042")
		p.answers("192.0.2.2:9042", at("2", "10.0.0.2"), at("1", "10.0.0.1"), at("3", "10.0.0.3"))
		p.want("the first is down", "10.0.0.3", "192.0.2.1", "192.0.2.2")
	})
	t.Run("one that is named twice", func(t *testing.T) {
		p := newPaper(t, Config{Hosts: []string{"10.0.0.1", "192.0.2.1"}})
		p.contacts()
		if !p.answers("10.0.0.1:9042", at("1", "10.0.0.1")) || p.answers("192.0.2.1:9042", at("1", "10.0.0.1")) {
			t.Error("it is not just the first that tells")
		}
		p.fails("10.0.0.1:9042")
		if !p.answers("192.0.2.1:9042", at("1", "10.0.0.1")) {
			t.Error("nobody tells once the first is not reached")
		}
	})
	t.Run("one that moved", func(t *testing.T) {
		p := newPaper(t, Config{Hosts: []string{"10.0.0.1"}})
		p.contacts()
		p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"))
		p.answers("10.0.0.2:9042", at("2", "10.0.0.2"), at("1", "10.0.0.1"))
		p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.9"))
		p.want("while it answers where it was", "10.0.0.1", "10.0.0.2")
		p.fails("10.0.0.2:9042")
		p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.9"))
		p.want("once it does not", "10.0.0.1", "10.0.0.9")
	})
}

func TestAHostIsOneNodeOrManyByItsAddresses(t *testing.T) {
	p := newPaper(t, Config{Hosts: []string{"cassandra-0.example", "cassandra.example"}})
	p.names["cassandra-0.example"] = []string{"10.0.0.1"}
	p.contacts()
	p.want("a name without an address stands for itself", "cassandra-0.example", "cassandra.example")
	p.names["cassandra.example"] = []string{"10.0.0.1", "10.0.0.2"}
	p.contacts()
	p.want("a name with several", "10.0.0.1", "10.0.0.2", "cassandra-0.example")
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"))
	p.answers("cassandra-0.example:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"))
	p.want("one is named by itself, too", "10.0.0.2", "cassandra-0.example")
	p.names["cassandra.example"] = nil
	p.contacts()
	p.want("the name server is gone", "10.0.0.2", "cassandra-0.example")
	p.names["cassandra.example"] = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	p.contacts()
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), at("2", "10.0.0.2"))
	p.want("one more", "10.0.0.2", "10.0.0.3", "cassandra-0.example")
}

func TestOtherDataCentresAndPorts(t *testing.T) {
	p := newPaper(t, Config{Hosts: []string{"10.0.0.1"}, Datacenter: "dc1"})
	p.contacts()
	far := at("2", "10.0.0.2")
	far.dc = "dc2"
	odd := at("3", "10.0.0.3")
	odd.port = 9043
	p.answers("10.0.0.1:9042", at("1", "10.0.0.1"), far, odd, member{hostID: "4", dc: "dc1"})
	p.want("one elsewhere, one with a port of its own, one without an address", "10.0.0.1", "10.0.0.3:9043")

	forwarded := newPaper(t, Config{Hosts: []string{"192.0.2.1"}})
	forwarded.contacts()
	self := at("1", "10.0.0.1")
	self.port = 9999
	forwarded.answers("192.0.2.1:9042", self, odd)
	forwarded.want("who is not reached at its own port says nothing of others' ports", "10.0.0.3", "192.0.2.1")
}

func TestAPlaceIsKnownBeforeANodeAnswers(t *testing.T) {
	p := newPaper(t, Config{Hosts: []string{"127.0.0.1"}, Timeout: time.Second})
	p.contacts()
	down := at("2", "127.0.0.2")
	down.dc = "far"
	p.answers("127.0.0.1:9042", at("1", "127.0.0.1"), down)
	p.fails("127.0.0.1:9042")
	got := gather(t, p.Ring)
	got.want(t, 0, "cassandra_up", "node=127.0.0.2", "dc=far", "rack=r1")
	got.want(t, 0, "cassandra_up", "node=127.0.0.1", "dc=dc1")
}

func TestAPeerIsNamedAsItsNode(t *testing.T) {
	v := &visit{config: Config{Port: 9042}, view: view{
		self:  member{hostID: "1", dc: "dc1", rack: "r1", address: "10.0.0.1", port: 9042, internode: "172.16.0.1", internodePort: 7000},
		peers: []member{{hostID: "2", dc: "dc2", rack: "r2", address: "10.0.0.2", port: 9043, internode: "172.16.0.2", internodePort: 7000}},
	}}
	for _, c := range []struct {
		address string
		port    int
		want    string
	}{
		{"172.16.0.1", 7000, "10.0.0.1 dc1 r1"},
		{"172.16.0.2", 7000, "10.0.0.2:9043 dc2 r2"},
		{"172.16.0.2", 0, "10.0.0.2:9043 dc2 r2"},
		{"172.16.0.2", 7001, "172.16.0.2 said-dc said-rack"},
		{"172.16.0.9", 7000, "172.16.0.9 said-dc said-rack"},
	} {
		if got := strings.Join(v.peerAt(c.address, c.port, "said-dc", "said-rack"), " "); got != c.want {
			t.Errorf("%s:%d is %q, want %q", c.address, c.port, got, c.want)
		}
	}
}
