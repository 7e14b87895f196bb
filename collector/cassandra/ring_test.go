package cassandra

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"
)

// Three nodes are dear to start, so one ring is for all that needs it.
func TestARingOfThree(t *testing.T) {
	if testing.Short() {
		t.Skip("a ring of three takes half a minute to start")
	}
	c := start(t, 3, false)
	s := client(t, c, func(g *gocql.ClusterConfig) { g.Consistency = gocql.Quorum })
	ks := keyspace(t, s, 3)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *servers, *gocql.Session, string)
	}{
		{"EachNodeIsFoundThroughOneAndTellsForItself", ringIsFound},
		{"WithoutDiscoveryOnlyTheContactPointIsConnectedTo", ringIsLeftAlone},
		{"AnotherDataCentreIsNotWatched", ringElsewhere},
		{"AFrozenNodeDelaysNoOther", ringWithAFrozenNode},
		{"HintsForANodeThatIsDownAreTold", ringWithADeadNode},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, c, s, ks) }) {
			return
		}
	}
}

func ringIsFound(t *testing.T, c *servers, s *gocql.Session, ks string) {
	r := watch(t, of(c))
	for i := range 50 {
		execute(t, s, "INSERT INTO "+ks+".t (a, b) VALUES (?, 'x')", i)
	}
	got := gather(t, r)
	if down := got.partsDown(); len(down) > 0 {
		t.Fatalf("parts cannot be read: %v", down)
	}
	ids, written := map[string]bool{}, 0.0
	for _, host := range c.Hosts() {
		label := "node=" + host
		got.want(t, 1, "cassandra_up", label, "dc=datacenter1", "rack=rack1")
		got.want(t, 3, "cassandra_ring_nodes", label, "peer_dc=datacenter1")
		for series := range got {
			if strings.HasPrefix(series, "cassandra_node_info{") && has(series, label) {
				_, id, _ := strings.Cut(series, `host_id="`)
				ids[id[:36]] = true
			}
		}
		n, _ := got.find(t, "cassandra_coordinator_requests_total", label, "keyspace="+ks, "table=t", "operation=write")
		written += n
		got.want(t, 1, "cassandra_gossip_status", label, "peer="+host, "status=NORMAL")
		for _, other := range c.Hosts() {
			if other == host {
				continue
			}
			peer := []string{label, "peer=" + other, "peer_dc=datacenter1", "peer_rack=rack1"}
			got.want(t, 0, "cassandra_hints_pending_files", peer...)
			for _, name := range []string{"cassandra_internode_outbound_sent_bytes_total", "cassandra_internode_inbound_processed_messages_total", "cassandra_gossip_heartbeats_total"} {
				if got.get(t, name, peer...) == 0 {
					t.Errorf("%s from %s to %s is 0", name, host, other)
				}
			}
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d identities, want 3", len(ids))
	}
	if written < 50 {
		t.Errorf("all coordinators together had %v writes, want 50 at least", written)
	}
	// The third node took data from the others as it joined, or was told that there was none.
	for _, m := range slices.Concat(inbound().Metrics, outbound().Metrics, streams().Metrics) {
		if !slices.ContainsFunc(keys(got), func(series string) bool { return strings.HasPrefix(series, m.Name+"{") }) {
			t.Errorf("%s is not told", m.Name)
		}
	}
}

func keys(n numbers) []string {
	var out []string
	for k := range n {
		out = append(out, k)
	}
	return out
}

func ringIsLeftAlone(t *testing.T, c *servers, _ *gocql.Session, _ string) {
	config := of(c)
	config.Discover = false
	r := watch(t, config)
	before := map[string]int{}
	for _, host := range c.Hosts() {
		before[host] = connections(t, host, c.Port())
	}
	for range 3 {
		if got := gather(t, r); len(r.Status()) != 1 {
			t.Fatalf("watched: %v, told %d series", r.Status(), len(got))
		}
	}
	for i, host := range c.Hosts() {
		want := 0
		if i == 0 {
			want = 2
		}
		if got := connections(t, host, c.Port()) - before[host]; got != want {
			t.Errorf("%d connections to %s, want %d", got, host, want)
		}
	}
}

func ringElsewhere(t *testing.T, c *servers, _ *gocql.Session, _ string) {
	config := of(c)
	config.Datacenter = "elsewhere"
	r := watch(t, config)
	if got := gather(t, r); len(got) != 0 {
		t.Errorf("told of a data centre that is not watched: %d series", len(got))
	}
	config.Datacenter = "datacenter1"
	if r = watch(t, config); len(r.Status()) != 0 {
		t.Error("something is watched before the first scrape")
	}
	if gather(t, r); len(r.Status()) != 3 {
		t.Errorf("watched: %v, want all three", r.Status())
	}
}

func ringWithAFrozenNode(t *testing.T, c *servers, _ *gocql.Session, _ string) {
	config := of(c)
	config.Timeout = 3 * time.Second
	r := watch(t, config)
	gather(t, r)
	c.Node(1).Freeze(t)
	defer c.Node(1).Thaw(t)
	for range 2 {
		begun := time.Now()
		got := gather(t, r)
		if took := time.Since(begun); took > config.Timeout+2*time.Second {
			t.Errorf("a scrape took %s, the timeout is %s", took, config.Timeout)
		}
		for i, host := range c.Hosts() {
			got.want(t, truth(i != 1), "cassandra_up", "node="+host)
		}
		got.want(t, 1, "cassandra_down", "node="+c.Hosts()[1], "reason=timeout", "dc=datacenter1")
		if _, ok := got.find(t, "cassandra_node_load_bytes", "node="+c.Hosts()[2]); !ok {
			t.Error("the others do not tell all that they have")
		}
	}
	c.Node(1).Thaw(t)
	eventually(t, "the node is up again", func() error { gather(t, r); return r.down() })
}

func ringWithADeadNode(t *testing.T, c *servers, s *gocql.Session, ks string) {
	r := watch(t, of(c))
	gather(t, r)
	dead := c.Hosts()[2]
	c.Node(2).Kill(t)
	written := 0
	var sum float64
	eventually(t, "hints are kept for the dead node", func() error {
		for range 20 {
			written++
			execute(t, s, "INSERT INTO "+ks+".t (a, b) VALUES (?, 'x')", written)
		}
		got := gather(t, r)
		got.want(t, 0, "cassandra_up", "node="+dead, "dc=datacenter1")
		sum = 0
		for _, host := range c.Hosts()[:2] {
			n := got.get(t, "cassandra_hints_pending_files", "node="+host, "peer="+dead, "peer_dc=datacenter1", "peer_rack=rack1")
			sum += n
			if n > 0 {
				oldest := got.get(t, "cassandra_hints_oldest_timestamp_seconds", "node="+host, "peer="+dead)
				newest := got.get(t, "cassandra_hints_newest_timestamp_seconds", "node="+host, "peer="+dead)
				if age := float64(time.Now().Unix()) - oldest; newest < oldest || age < -1 || age > 120 {
					t.Errorf("the oldest hints are of %v, the newest of %v", oldest, newest)
				}
			}
		}
		if sum == 0 {
			return errors.New("there are none")
		}
		return nil
	})
	c.Node(2).Restart(t)
	eventually(t, "the hints are handed over", func() error {
		got := gather(t, r)
		left := 0.0
		for _, host := range c.Hosts()[:2] {
			n, _ := got.find(t, "cassandra_hints_pending_files", "node="+host, "peer="+dead)
			left += n
		}
		if up, _ := got.find(t, "cassandra_up", "node="+dead); up != 1 || left > 0 {
			return fmt.Errorf("up %v, %v files of hints left: %w", up, left, r.down())
		}
		return nil
	})
}
