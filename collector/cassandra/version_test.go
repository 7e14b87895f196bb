package cassandra

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
)

// recorded are the tables and columns of a version, as a real node of it listed
// them in system_virtual_schema.columns and system_schema.columns: a line a table.
// A node of 4.1 does not run in these tests, so that for it the statements are
// checked, and not what they give.
func recorded(t *testing.T, version string) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/columns-" + version + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		out[f[0]] = f[1:]
	}
	return out
}

var statement = regexp.MustCompile(`^SELECT ([a-z0-9_, ]+) FROM ([a-z_.0-9]+)( WHERE [a-z_]+ = '[a-z_]+')?$`)

// asked is a link with a node that has the columns, and no rows but one of each
// table. Statements that such a node would refuse fail the test.
func asked(t *testing.T, columns map[string][]string) *link {
	l := &link{close: func() {}, columns: map[string][]string{}}
	l.query = func(_ context.Context, s string, read func(row)) error {
		m := statement.FindStringSubmatch(s)
		if m == nil {
			t.Fatalf("a statement is not understood: %s", s)
		}
		names := strings.Split(m[1], ", ")
		r := row{names: names, cells: make([]cell, len(names))}
		for i, n := range names {
			if !slices.Contains(columns[m[2]], n) {
				t.Errorf("%s has no column %s", m[2], n)
			}
			r.cells[i] = cell{text: "x", number: 1, counts: true}
		}
		read(r)
		return nil
	}
	for name, cs := range columns {
		if keyspace, table, _ := strings.Cut(name, "."); keyspace == views {
			l.columns[table] = cs
		}
	}
	return l
}

// down reads all parts, and lists those that fail, with the reason.
func down(t *testing.T, l *link) []string {
	t.Helper()
	v := &visit{at: time.Unix(1795170000, 0), link: l, config: Config{Tables: 10, Port: 9042}}
	v.view.self.version = "4.1.8"
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(exporter.New(exporter.Options{Kind: Kind, Parts: Parts()}).Within(v.within(t.Context())))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		if f.GetName() == "cassandra_part_down" {
			for _, m := range f.GetMetric() {
				out = append(out, m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue())
			}
		}
	}
	return out
}

func TestEachVersionIsAskedForWhatItHas(t *testing.T) {
	for _, version := range []string{"4.1.8", "5.0.5"} {
		t.Run(version, func(t *testing.T) {
			columns := recorded(t, version)
			if d := down(t, asked(t, columns)); len(d) > 0 {
				t.Errorf("parts cannot be read: %v", d)
			}
			if _, err := asked(t, columns).look(t.Context()); err != nil {
				t.Errorf("look: %v", err)
			}
		})
	}
}

func TestATableOrAColumnThatIsMissingIsNoError(t *testing.T) {
	all := recorded(t, "5.0.5")
	for name, columns := range all {
		if !strings.HasPrefix(name, views+".") {
			continue
		}
		delete(all, name)
		if d := down(t, asked(t, all)); len(d) > 0 {
			t.Errorf("without %s: %v", name, d)
		}
		all[name] = columns[:len(columns)/2]
		if d := down(t, asked(t, all)); len(d) > 0 {
			t.Errorf("with half of %s: %v", name, d)
		}
		all[name] = columns
	}
}

func TestANodeWithoutVirtualTablesHasThemMissing(t *testing.T) {
	l := asked(t, nil)
	l.absent = exporter.Because(exporter.Missing, errors.New("keyspace system_virtual_schema does not exist"))
	got := down(t, l)
	if len(got) != len(Parts())-2 || !slices.Contains(got, "caches missing") {
		t.Errorf("parts down: %v, want all but node and ring", got)
	}
}

func TestATableThatMayNotBeReadCostsItsPartOnly(t *testing.T) {
	l := asked(t, recorded(t, "5.0.5"))
	before := l.query
	l.query = func(ctx context.Context, s string, read func(row)) error {
		if strings.HasSuffix(s, ".thread_pools") {
			return judged(refusal(gocql.ErrCodeUnauthorized))
		}
		return before(ctx, s, read)
	}
	if got := fmt.Sprint(down(t, l)); got != "[thread_pools permission]" {
		t.Errorf("parts down: %s", got)
	}
}

// refusal is an answer of a node with an error code of the CQL protocol.
type refusal int

func (r refusal) Code() int       { return int(r) }
func (r refusal) Message() string { return "refused" }
func (r refusal) Error() string   { return "refused" }

func TestErrorsOfTheDriverHaveReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{refusal(gocql.ErrCodeCredentials), exporter.Denied},
		{refusal(gocql.ErrCodeUnauthorized), exporter.Permission},
		{refusal(gocql.ErrCodeInvalid), exporter.Missing},
		{refusal(gocql.ErrCodeOverloaded), exporter.Exhausted},
		{refusal(gocql.ErrCodeReadTimeout), exporter.Timeout},
		{refusal(gocql.ErrCodeBootstrapping), exporter.Refused},
		{refusal(gocql.ErrCodeSyntax), exporter.Protocol},
		{refusal(gocql.ErrCodeServer), exporter.Broken},
		{refusal(gocql.ErrCodeUnavailable), exporter.Broken},
		{gocql.ErrNoConnections, exporter.Refused},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), exporter.Refused},
		{gocql.ErrTimeoutNoResponse, exporter.Timeout},
		{gocql.NewErrProtocol("x"), exporter.Protocol},
		{context.DeadlineExceeded, exporter.Timeout},
		{errors.New("x"), exporter.Broken},
	} {
		if got := exporter.Reason(judged(c.err)); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestTheUnitOfLatenciesByVersion(t *testing.T) {
	for _, c := range []struct {
		version string
		median  float64 // of reads of system.local, as the column has it
		want    float64
	}{
		{"4.0.11", 0.002, 1e-3}, // milliseconds, whatever is read
		{"4.1.8", 0.3, 1},
		{"5.0.5", 0, 1},
		{"5.0.6", 0, 1}, // a read takes no 0 ms
		{"5.0.6", 0.001, 1},
		{"5.0.6", 0.042, 1e-3},
		{"5.1-alpha1", 0.05, 1e-3},
		{"6.0.0", 0.05, 1e-3},
		{"", 0.05, 1e-3},
	} {
		l := asked(t, recorded(t, "5.0.5"))
		l.query = func(_ context.Context, _ string, read func(row)) error {
			for _, table := range []string{"peers_v2", "local"} {
				median := c.median
				if table != "local" {
					median = 1 - median
				}
				read(row{
					names: []string{"keyspace_name", "table_name", "p50th_ms"},
					cells: []cell{{text: "system"}, {text: table}, {number: median, counts: true}},
				})
			}
			return nil
		}
		v := &visit{link: l}
		v.view.self.version = c.version
		if got, err := v.latencyUnit(t.Context()); err != nil || got != c.want {
			t.Errorf("%q with a median of %v: 1 is %v s, %v; want %v", c.version, c.median, got, err, c.want)
		}
	}
}
