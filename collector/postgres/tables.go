package postgres

import "fmt"

// userTables are the tables of the database: not the server's own, and not those
// that live as long as a session.
const userTables = `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
	WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'`

// largest are the oids of the tables to tell of. Their pages are counted as the
// last VACUUM or ANALYZE found them: to measure them all is dear, and takes locks.
func (t *target) largest() string {
	return fmt.Sprintf(`(SELECT c.oid FROM %s ORDER BY c.relpages::float8 + coalesce(toast.relpages, 0) DESC, pg_stat_get_live_tuples(c.oid) DESC, c.oid LIMIT %d)`, userTables, t.config.Tables)
}

// tableLabels say of which table something is.
func tableLabels() []string { return []string{"datname", "schemaname", "relname"} }

// tables is what was done with the largest tables of the database.
func (t *target) tables() []view {
	stats := view{
		part: "tables", prefix: "pg_stat_user_tables_", labels: tableLabels(),
		from: "(SELECT current_database() AS datname, * FROM pg_stat_user_tables WHERE relid IN " + t.largest() + ") x",
		columns: []column{
			counter("seq_scan", "Scans of the whole table."),
			counter("seq_tup_read", "Rows that they read."),
			counter("idx_scan", "Scans by an index; absent if the table has none."),
			counter("idx_tup_fetch", "Rows that they fetched."),
			counter("n_tup_ins", "Rows that were inserted."),
			counter("n_tup_upd", "Rows that were updated."),
			counter("n_tup_del", "Rows that were deleted."),
			counter("n_tup_hot_upd", "Rows that were updated without touching an index."),
			gauge("n_live_tup", "Rows, as estimated."),
			gauge("n_dead_tup", "Rows that are dead and not yet removed, as estimated."),
			gauge("n_mod_since_analyze", "Rows that changed since the last ANALYZE, as estimated."),
			gauge("last_vacuum", "When somebody last vacuumed the table, in Unix time; absent if never.").of("extract(epoch FROM last_vacuum)"),
			gauge("last_autovacuum", "When it was last vacuumed by itself, in Unix time; absent if never.").of("extract(epoch FROM last_autovacuum)"),
			gauge("last_analyze", "When somebody last analysed the table, in Unix time; absent if never.").of("extract(epoch FROM last_analyze)"),
			gauge("last_autoanalyze", "When it was last analysed by itself, in Unix time; absent if never.").of("extract(epoch FROM last_autoanalyze)"),
			counter("vacuum_count", "Times that somebody vacuumed the table."),
			counter("autovacuum_count", "Times that it was vacuumed by itself."),
			counter("analyze_count", "Times that somebody analysed the table."),
			counter("autoanalyze_count", "Times that it was analysed by itself."),
		},
	}
	omitted := view{
		part: "tables", prefix: "pg_stat_user_tables_", labels: []string{"datname"},
		from:    fmt.Sprintf("(SELECT current_database() AS datname, greatest(count(*) - %d, 0) AS omitted FROM %s) x", t.config.Tables, userTables),
		columns: []column{gauge("omitted", "Tables that are not told of, because others are larger.")},
	}
	return []view{stats, omitted}
}

// tableSizes measures the largest tables. That takes a lock on each for a moment,
// so one that somebody has locked away is left out, and what locks meanwhile
// costs this part only.
func (t *target) tableSizes() view {
	return view{
		part: "table_sizes", prefix: "pg_stat_user_tables_", labels: tableLabels(),
		from: `(SELECT current_database() AS datname, n.nspname AS schemaname, c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid IN ` + t.largest() + ` AND c.oid NOT IN (SELECT relation FROM pg_locks WHERE relation IS NOT NULL AND mode = 'AccessExclusiveLock'
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))) x`,
		columns: []column{
			gauge("table_size_bytes", "Disk space that the table takes without its indexes; absent while it is locked.").of("pg_table_size(oid)"),
			gauge("index_size_bytes", "Disk space that its indexes take; absent while it is locked.").of("pg_indexes_size(oid)"),
		},
	}
}
