package cassandra

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"flyball/collector/exporter"
)

// mebibyte is the unit, rounded up, in which a node tells sizes of tables.
const mebibyte = 1 << 20

// A quantile is a column, and the quantile that it is; 1 is the most.
type quantile struct{ column, of string }

// A choice is which tables are told of one by one.
type choice struct {
	tables  []sized // that are shown, largest first
	shown   map[tableName]bool
	omitted int
}

type tableName struct{ keyspace, table string }

type sized struct {
	tableName
	mebibytes float64
}

func nameOf(r row) tableName { return tableName{r.text("keyspace_name"), r.text("table_name")} }

// system reports whether a keyspace is Cassandra's own.
func system(keyspace string) bool {
	return keyspace == "system" || strings.HasPrefix(keyspace, "system_")
}

// tables chooses the tables that take most disk on this node.
func (v *visit) tables(ctx context.Context) (*choice, error) {
	if v.chosen != nil {
		return v.chosen, nil
	}
	var all []sized
	err := v.link.each(ctx, "disk_usage", []string{"keyspace_name", "table_name", "mebibytes"}, func(r row) {
		if t := nameOf(r); v.config.System || !system(t.keyspace) {
			size, _ := r.number("mebibytes")
			all = append(all, sized{t, size})
		}
	})
	if err != nil {
		return nil, err
	}
	v.chosen = choose(all, v.config.Tables)
	return v.chosen, nil
}

func choose(all []sized, most int) *choice {
	slices.SortFunc(all, func(a, b sized) int {
		return cmp.Or(cmp.Compare(b.mebibytes, a.mebibytes), cmp.Compare(a.keyspace, b.keyspace), cmp.Compare(a.table, b.table))
	})
	c := &choice{tables: all, shown: map[tableName]bool{}}
	if len(all) > most {
		c.tables, c.omitted = all[:most], len(all)-most
	}
	for _, t := range c.tables {
		c.shown[t.tableName] = true
	}
	return c
}

// eachTable reads the named columns of a table in system_views that has a row a
// table, of those that are shown.
func (v *visit) eachTable(ctx context.Context, table string, columns []string, read func(t tableName, r row)) error {
	c, err := v.tables(ctx)
	if err != nil || len(c.shown) == 0 {
		return err
	}
	return v.link.each(ctx, table, append(columns, "keyspace_name", "table_name"), func(r row) {
		if t := nameOf(r); c.shown[t] {
			read(t, r)
		}
	})
}

// sizes tells how much disk tables take.
func sizes() exporter.Part {
	count := exporter.Gauge("cassandra_tables", "Tables on the node, without those of system keyspaces if these are left out.")
	omitted := exporter.Gauge("cassandra_tables_omitted", "Tables that are not told one by one, because `tables` others take more disk.")
	disk := exporter.Gauge("cassandra_table_disk_bytes", "Disk that a table takes on the node, snapshots left out; in whole MiB, rounded up.", "keyspace", "table")
	partition := exporter.Gauge("cassandra_table_max_partition_bytes", "Largest partition of a table, among those that were compacted; in whole MiB, rounded up.", "keyspace", "table")
	sstable := exporter.Gauge("cassandra_table_max_sstable_bytes", "Largest SSTable of a table; in whole MiB, rounded up; from 5.0 on.", "keyspace", "table")
	return exporter.Part{
		Name: "tables", Metrics: []exporter.Metric{count, omitted, disk, partition, sstable},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx)
			c, err := v.tables(ctx)
			if err != nil {
				return err
			}
			s.Give(count, float64(len(c.tables)+c.omitted))
			s.Give(omitted, float64(c.omitted))
			for _, t := range c.tables {
				s.Give(disk, t.mebibytes*mebibyte, t.keyspace, t.table)
			}
			for table, m := range map[string]exporter.Metric{"max_partition_size": partition, "max_sstable_size": sstable} {
				cs := []column{{"mebibytes", m, mebibyte}}
				err = errors.Join(err, v.eachTable(ctx, table, names(cs), func(t tableName, r row) { give(s, r, cs, t.keyspace, t.table) }))
			}
			return err
		},
	}
}

// scanned tells what reads of tables come across.
func scanned() exporter.Part {
	labels := []string{"keyspace", "table", "quantile"}
	tombstones := exporter.Gauge("cassandra_table_tombstones_per_read", "Tombstones that a read of a table came across, over the last minutes; quantile 1 is the most.", labels...)
	rows := exporter.Gauge("cassandra_table_rows_per_read", "Live rows that a read of a table came across, over the last minutes; quantile 1 is the most.", labels...)
	quantiles := []quantile{{"p50th", "0.5"}, {"p99th", "0.99"}, {"max", "1"}}
	return exporter.Part{
		Name: "reads", Metrics: []exporter.Metric{tombstones, rows},
		Read: func(ctx context.Context, s *exporter.Sink) error {
			v := visited(ctx)
			return errors.Join(
				v.eachTable(ctx, "tombstones_per_read", []string{"count", "p50th", "p99th", "max"}, func(t tableName, r row) {
					giveQuantiles(s, tombstones, r, quantiles, 1, t.keyspace, t.table)
				}),
				v.eachTable(ctx, "rows_per_read", []string{"count", "p50th", "p99th", "max"}, func(t tableName, r row) {
					giveQuantiles(s, rows, r, quantiles, 1, t.keyspace, t.table)
				}),
			)
		},
	}
}

// giveQuantiles tells a distribution; one over nothing is not told, for its zeros
// would be lies.
func giveQuantiles(s *exporter.Sink, m exporter.Metric, r row, qs []quantile, scale float64, labels ...string) {
	if n, _ := r.number("count"); n == 0 {
		return
	}
	for _, q := range qs {
		if v, ok := r.number(q.column); ok {
			s.Give(m, v*scale, append(slices.Clone(labels), q.of)...)
		}
	}
}
