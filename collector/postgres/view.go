package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"flyball/collector/exporter"
)

// A view is a source of rows that become metrics: its labels say what a row is
// of, and each of its columns is a metric. A NULL is not told.
type view struct {
	part    string // the part that it belongs to
	prefix  string // of its metrics, e.g. pg_stat_database_
	labels  []string
	from    string // what follows FROM
	args    []any  // of from
	since   int    // the first major version that has it; 0: all do
	columns []column
	// stats: who has not pg_read_all_stats sees rows that say nothing, and no error.
	stats bool
}

// A column is a metric of a view.
type column struct {
	exporter.Metric        // its name without the view's prefix, its labels those of the view
	value           string // an SQL expression
	since, until    int    // the first major version that has it, and the first that has not; 0: all do
}

func gauge(name, help string) column {
	return column{Metric: exporter.Gauge(name, help), value: name}
}

func counter(name, help string) column {
	return column{Metric: exporter.Counter(name, help), value: name}
}

// of is the column with another value than what is called as the metric is.
func (c column) of(value string) column { c.value = value; return c }

// from is the column as of a major version.
func (c column) from(major int) column { c.since = major; return c }

// before is the column up to the major version that has it no more.
func (c column) before(major int) column { c.until = major; return c }

func (c column) in(major int) bool {
	return major >= c.since && (c.until == 0 || major < c.until)
}

// metric is the column as it is told.
func (v view) metric(c column) exporter.Metric {
	m := c.Metric
	m.Name, m.Labels = v.prefix+m.Name, v.labels
	return m
}

func (v view) metrics() []exporter.Metric {
	var ms []exporter.Metric
	for _, c := range v.columns {
		ms = append(ms, v.metric(c))
	}
	return ms
}

// query is the SQL that reads the view in a major version, and the columns that
// it returns after the labels.
func (v view) query(major int) (string, []column) {
	var fields []string
	for _, l := range v.labels {
		fields = append(fields, `coalesce("`+l+`"::text, '')`)
	}
	var has []column
	for _, c := range v.columns {
		if c.in(major) {
			has = append(has, c)
			fields = append(fields, "("+c.value+")::float8")
		}
	}
	return "SELECT " + strings.Join(fields, ", ") + " FROM " + v.from, has
}

// read tells what the view has.
func (t *target) read(ctx context.Context, v view, s *exporter.Sink) error {
	if t.facts.major() < v.since {
		return nil
	}
	if err := t.facts.mayRead(v); err != nil {
		return err
	}
	sql, columns := v.query(t.facts.major())
	labels, values := make([]string, len(v.labels)), make([]pgtype.Float8, len(columns))
	var dest []any
	for i := range labels {
		dest = append(dest, &labels[i])
	}
	for i := range values {
		dest = append(dest, &values[i])
	}
	return t.query(ctx, sql, v.args, dest, func() {
		for i, c := range columns {
			if values[i].Valid {
				s.Give(v.metric(c), values[i].Float64, labels...)
			}
		}
	})
}
