package collector

import (
	"flag"
	"os"
	"strings"
	"testing"

	"flyball/collector/cassandra"
	"flyball/collector/container"
	"flyball/collector/haproxy"
	"flyball/collector/nginx"
	"flyball/collector/postgres"
)

var update = flag.Bool("update", false, "write METRICS.md anew")

func TestEveryMetricIsDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Metrics of what is watched\n\nMade of the code by `go test ./collector -update`. ")
	b.WriteString("This host tells the metrics of node_exporter, see collector/host.\n")
	for _, k := range []struct{ title, table string }{
		{"Containers", container.Table()},
		{"PostgreSQL", postgres.Table()},
		{"Cassandra", cassandra.Table()},
		{"HAProxy", haproxy.Table()},
		{"nginx", nginx.Table()},
	} {
		b.WriteString("\n## " + k.title + "\n\n" + k.table)
	}
	if *update {
		if err := os.WriteFile("METRICS.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != b.String() {
		t.Error("METRICS.md is not what the code says: run go test ./collector -run EveryMetric -update, and read what changed")
	}
}
