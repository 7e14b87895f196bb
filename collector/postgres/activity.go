package postgres

// chosen bounds what is told by database to those that are configured.
const chosen = "($1::text[] IS NULL OR d.datname = ANY($1))"

// names are the databases to tell of; nil: all.
func (t *target) names() []any { return []any{t.config.Databases} }

// activity is what sessions do.
func (t *target) activity() []view {
	states := view{
		part: "activity", prefix: "pg_stat_activity_", labels: []string{"datname", "state"}, stats: true, args: t.names(),
		from: `(SELECT d.datname, s.state, coalesce(a.count, 0) AS count, coalesce(a.longest, 0) AS longest
			FROM pg_database d
			CROSS JOIN unnest('{active,idle,idle in transaction,idle in transaction (aborted),fastpath function call,disabled}'::text[]) AS s (state)
			LEFT JOIN (SELECT datname, state, count(*) AS count, max(extract(epoch FROM clock_timestamp() - xact_start)) FILTER (WHERE backend_type = 'client backend') AS longest
				FROM pg_stat_activity GROUP BY datname, state) a ON a.datname = d.datname AND a.state = s.state
			WHERE d.datallowconn AND ` + chosen + `) x`,
		columns: []column{
			gauge("count", "Sessions in this state."),
			gauge("max_tx_duration", "Age of the longest transaction of a client in this state, in seconds; 0 without any. A VACUUM that runs by itself does not count.").of("longest"),
		},
	}
	waiting := view{
		part: "activity", prefix: "pg_stat_activity_", labels: []string{"wait_event_type"}, stats: true,
		from: `(SELECT w.wait_event_type, count(a.pid)
			FROM unnest('{BufferPin,Client,Extension,IO,IPC,LWLock,Lock,Timeout}'::text[]) AS w (wait_event_type)
			LEFT JOIN pg_stat_activity a ON a.wait_event_type = w.wait_event_type AND a.state = 'active' AND a.backend_type = 'client backend'
			GROUP BY w.wait_event_type) x`,
		columns: []column{gauge("waiting", "Clients' sessions that wait within a statement, by what they wait for.").of("count")},
	}
	connections := view{
		part: "activity", prefix: "pg_stat_activity_", stats: true,
		from:    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') x",
		columns: []column{gauge("connections", "Clients' connections: those that max_connections bounds.").of("count")},
	}
	return []view{states, waiting, connections}
}

// locks are those that are held or waited for. Who waits for a row waits for its
// transaction, which belongs to no database: so it is told by the session's.
func (t *target) locks() []view {
	modes := view{
		part: "locks", prefix: "pg_locks_", labels: []string{"datname", "mode"}, args: t.names(),
		from: `(SELECT d.datname, m.mode, coalesce(l.count, 0) AS count
			FROM pg_database d
			CROSS JOIN unnest('{accesssharelock,rowsharelock,rowexclusivelock,shareupdateexclusivelock,sharelock,sharerowexclusivelock,exclusivelock,accessexclusivelock,sireadlock}'::text[]) AS m (mode)
			LEFT JOIN (SELECT database, lower(mode) AS mode, count(*) AS count FROM pg_locks GROUP BY 1, 2) l ON l.database = d.oid AND l.mode = m.mode
			WHERE d.datallowconn AND ` + chosen + `) x`,
		columns: []column{gauge("count", "Locks in this mode, held or waited for.")},
	}
	blocked := view{
		part: "locks", prefix: "pg_locks_", labels: []string{"datname"}, args: t.names(), since: 14,
		from: `(SELECT d.datname, count(DISTINCT l.pid) AS sessions, coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0) AS longest
			FROM pg_database d
			LEFT JOIN (pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND NOT l.granted) ON a.datid = d.oid
			WHERE d.datallowconn AND ` + chosen + ` GROUP BY d.datname) x`,
		columns: []column{
			gauge("blocked_sessions", "Sessions that wait for a lock that another holds.").of("sessions"),
			gauge("blocked_longest_seconds", "How long the one that waits longest has waited; 0 without any.").of("longest"),
		},
	}
	return []view{modes, blocked}
}
