package cassandra

import (
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"
)

// notOnOneNode are the metrics that one node of 5.0.5 does not tell, and why.
func notOnOneNode() map[string]string {
	return map[string]string{
		"cassandra_hints_pending_files":             "there is no other node; see TestARingOfThree",
		"cassandra_hints_oldest_timestamp_seconds":  "there are no hints; see TestARingOfThree",
		"cassandra_hints_newest_timestamp_seconds":  "there are no hints; see TestARingOfThree",
		"cassandra_hints_pending_bytes":             "versions before 5.1 do not tell it",
		"cassandra_internode_*":                     "there is no other node; see TestARingOfThree",
		"cassandra_streams":                         "nothing is streamed; see TestARingOfThree",
		"cassandra_streams_receive_remaining_bytes": "nothing is streamed; see TestARingOfThree",
		"cassandra_streams_send_remaining_bytes":    "nothing is streamed; see TestARingOfThree",
	}
}

func TestEveryMetricOfANodeIsTold(t *testing.T) {
	c := shared(t)
	s := client(t, c)
	ks := keyspace(t, s, 1)
	for i := range 20 {
		execute(t, s, "INSERT INTO "+ks+".t (a, b) VALUES (?, 'x')", i)
		execute(t, s, "SELECT * FROM "+ks+".t WHERE a = ?", i)
	}
	execute(t, s, "DELETE FROM "+ks+".t WHERE a = 3")
	execute(t, s, "SELECT * FROM "+ks+".t")
	got := gather(t, watch(t, of(c)))
	if down := got.partsDown(); len(down) > 0 {
		t.Fatalf("parts cannot be read: %v", down)
	}
	told := map[string]bool{}
	for series := range got {
		name, _, _ := strings.Cut(series, "{")
		told[name] = true
	}
	except := notOnOneNode()
	for _, p := range Parts() {
		for _, m := range p.Metrics {
			why := except[m.Name]
			if strings.HasPrefix(m.Name, "cassandra_internode_") {
				why = except["cassandra_internode_*"]
			}
			if told[m.Name] == (why != "") {
				t.Errorf("%s of part %s is told: %v; said of it: %q", m.Name, p.Name, told[m.Name], why)
			}
		}
	}
}

func TestAWriteLoadMovesTheNumbersThatItShould(t *testing.T) {
	c := shared(t)
	s := client(t, c)
	ks := keyspace(t, s, 1)
	r := watch(t, of(c))
	table := []string{"keyspace=" + ks, "table=t"}
	before := gather(t, r)
	for i := range 300 {
		execute(t, s, "INSERT INTO "+ks+".t (a, b) VALUES (?, 'x')", i%100)
	}
	for i := range 100 {
		execute(t, s, "DELETE FROM "+ks+".t WHERE a = ?", i)
		execute(t, s, "SELECT * FROM "+ks+".t WHERE a = ?", i)
	}
	batch := s.NewBatch(gocql.LoggedBatch)
	for i := range 7 {
		batch.Query("INSERT INTO "+ks+".t (a, b) VALUES (?, 'x')", i)
	}
	if err := s.ExecuteBatch(batch); err != nil {
		t.Fatal(err)
	}
	after := gather(t, r)
	moved := func(name string, labels ...string) float64 {
		old, _ := before.find(t, name, labels...)
		return after.get(t, name, labels...) - old
	}
	for _, side := range []string{"coordinator", "local"} {
		// A logged batch counts once for the coordinator, and each of its partitions at the replica.
		if got := moved("cassandra_"+side+"_requests_total", append(table, "operation=write")...); got < 400 || got > 410 {
			t.Errorf("%s writes moved by %v, want 400 to 410", side, got)
		}
		if got := moved("cassandra_"+side+"_requests_total", append(table, "operation=read")...); got != 100 {
			t.Errorf("%s reads moved by %v, want 100", side, got)
		}
	}
	for name, labels := range map[string][]string{
		"cassandra_thread_pool_completed_tasks_total": {"pool=MutationStage"},
		"cassandra_statements_executed_total":         {"kind=prepared"},
	} {
		if got := moved(name, labels...); got < 300 {
			t.Errorf("%s%v moved by %v, want 300 at least", name, labels, got)
		}
	}
	after.want(t, 1, "cassandra_table_tombstones_per_read", append(table, "quantile=0.5")...)
	if got := after.get(t, "cassandra_batch_partitions", "kind=logged", "quantile=1"); got < 7 || got > 9 {
		t.Errorf("the largest batch has %v partitions, want 7, or the bucket that it is in", got)
	}
	if got := after.get(t, "cassandra_client_connections", "protocol=4", "tls=false"); got < 4 {
		t.Errorf("%v connections, want the client's two and ours", got)
	}
}

// A stopped node answers late what it was at, so that the unit of its latencies
// can be seen: versions have it wrong, see latencyUnit.
func TestLatenciesAreInSeconds(t *testing.T) {
	c := shared(t)
	s := client(t, c)
	ks := keyspace(t, s, 1)
	r := watch(t, of(c))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = s.Query("INSERT INTO "+ks+".t (a, b) VALUES (?, 'x')", i%100).Exec()
			}
		}
	}()
	defer func() { close(stop); <-done }()
	labels := []string{"keyspace=" + ks, "table=t", "operation=write", "quantile=1"}
	const pause = 600 * time.Millisecond
	for range 60 {
		c.Node(0).Freeze(t)
		<-time.After(pause) // the length is what is measured
		c.Node(0).Thaw(t)
		<-time.After(20 * time.Millisecond)
		longest := gather(t, r).get(t, "cassandra_coordinator_latency_seconds", labels...)
		if longest < pause.Seconds() {
			continue // it was not at a write when it was stopped
		}
		if longest > 20*pause.Seconds() {
			t.Errorf("the longest write took %v s, and the node was stopped for %v", longest, pause)
		}
		return
	}
	t.Error("no write took as long as the node was stopped")
}

func TestAFrozenNodeIsDownWithinTheTimeoutAndComesBack(t *testing.T) {
	c := shared(t)
	config := of(c)
	config.Timeout = time.Second
	r := watch(t, config)
	label := "node=" + c.Hosts()[0]
	gather(t, r).want(t, 1, "cassandra_up", label)
	c.Node(0).Freeze(t)
	defer c.Node(0).Thaw(t)
	for _, when := range []string{"over the link that there was", "over a new link"} {
		begun := time.Now()
		got := gather(t, r)
		if took := time.Since(begun); took > config.Timeout+2*time.Second {
			t.Errorf("%s: a scrape took %s, the timeout is %s", when, took, config.Timeout)
		}
		got.want(t, 0, "cassandra_up", label, "dc=datacenter1", "rack=rack1")
		got.want(t, 1, "cassandra_down", label, "reason=timeout")
		if len(got) != 2 {
			t.Errorf("%s: a node that does not answer tells %v", when, got)
		}
	}
	c.Node(0).Thaw(t)
	eventually(t, "the node is up again", func() error { gather(t, r); return r.down() })
}

func TestAKilledNodeIsDownAtOnceAndUpOnceItRunsAgain(t *testing.T) {
	c := start(t, 1, false)
	r := watch(t, of(c))
	label := "node=" + c.Hosts()[0]
	gather(t, r).want(t, 1, "cassandra_up", label)
	c.Node(0).Kill(t)
	begun := time.Now()
	got := gather(t, r)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("a scrape of a killed node took %s", took)
	}
	got.want(t, 0, "cassandra_up", label, "dc=datacenter1")
	got.want(t, 1, "cassandra_down", label, "reason=refused")

	late := watch(t, of(c))
	got = gather(t, late)
	got.want(t, 0, "cassandra_up", label, "dc=")
	got.want(t, 1, "cassandra_down", label, "reason=refused")

	c.Node(0).Restart(t)
	for what, r := range map[string]*Ring{"that was seen before": r, "that was down at the start": late} {
		got := gather(t, r)
		if v, _ := got.find(t, "cassandra_up", label, "dc=datacenter1"); v != 1 || len(got.partsDown()) > 0 {
			t.Errorf("a node %s is %v after its restart; parts down: %v; %v", what, v, got.partsDown(), r.Status())
		}
	}
}

func TestAScrapeThatIsBrokenOffKeepsTheLink(t *testing.T) {
	c := shared(t)
	r := watch(t, of(c))
	gather(t, r)
	n := r.known()[0]
	before := n.link
	ctx, cancel := canceled(t)
	defer cancel()
	gatherWithin(ctx, t, r)
	if n.link != before {
		t.Error("a scraper that went away cost the link")
	}
	gather(t, r).want(t, 1, "cassandra_up")
}

func TestOnlyTheLargestTablesAreTold(t *testing.T) {
	c := shared(t)
	s := client(t, c)
	ks := keyspace(t, s, 1)
	for _, name := range []string{"u", "v", "w"} {
		execute(t, s, "CREATE TABLE IF NOT EXISTS "+ks+"."+name+" (a int PRIMARY KEY)")
	}
	config := of(c)
	config.Tables = 2
	got := gather(t, watch(t, config))
	all := got.get(t, "cassandra_tables")
	if all < 4 {
		t.Errorf("%v tables, want 4 at least", all)
	}
	got.want(t, all-2, "cassandra_tables_omitted")
	shown := map[string]bool{}
	for series := range got {
		if has(series, "keyspace=system") || strings.Contains(series, `keyspace="system_`) {
			t.Errorf("a table of a system keyspace is told: %s", series)
		}
		if strings.HasPrefix(series, "cassandra_table_disk_bytes") {
			shown[series] = true
		}
	}
	if len(shown) != 2 {
		t.Errorf("tables shown: %v, want two", shown)
	}
	config.Tables, config.System = 1000, true
	got = gather(t, watch(t, config))
	got.want(t, 0, "cassandra_tables_omitted")
	if v := got.get(t, "cassandra_table_disk_bytes", "keyspace=system", "table=local"); v < mebibyte {
		t.Errorf("system.local takes %v bytes", v)
	}
	config.Tables = 0
	if _, there := gather(t, watch(t, config)).find(t, "cassandra_table_disk_bytes"); there {
		t.Error("a table is told, and none should be")
	}
}
