package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"flyball/collector/exporter"
)

// facts are what the parts want to know of the server and of our role there.
type facts struct {
	version int // as server_version_num has it, e.g. 150018
	name    string
	user    string
	standby bool // it is in recovery
	stats   bool // the role sees what other sessions do
}

func (f facts) major() int { return f.version / 10000 }

// short is the version as postgres_exporter writes it, e.g. 15.18.0.
func (f facts) short() string { return fmt.Sprintf("%d.%d.0", f.major(), f.version%10000) }

// grant is what a role needs.
func (f facts) grant() string {
	return "GRANT pg_monitor TO " + pgx.Identifier{f.user}.Sanitize()
}

// mayRead tells if the role would see no more of a view than that there are rows.
func (f facts) mayRead(v view) error {
	if !v.stats || f.stats {
		return nil
	}
	return exporter.Because(exporter.Permission, errors.New("the role sees its own sessions only: "+f.grant()))
}

// ask asks for the facts of this scrape.
func (t *target) ask(ctx context.Context) error {
	const sql = `SELECT current_setting('server_version_num')::int, version(), current_user::text, pg_is_in_recovery(), pg_has_role('pg_read_all_stats', 'USAGE')`
	var f facts
	if err := t.conn.QueryRow(ctx, sql).Scan(&f.version, &f.name, &f.user, &f.standby, &f.stats); err != nil {
		return err
	}
	t.facts = f
	return nil
}

// server is what identifies the server, and its role.
func (t *target) server() exporter.Part {
	static := exporter.Untyped("pg_static", "1, with the version of the server.", "version", "short_version")
	replica := exporter.Gauge("pg_replication_is_replica", "Whether the server is in recovery: 1 on a standby, 0 on a primary.")
	started := view{
		part: "server", prefix: "pg_",
		from:    `(SELECT pg_postmaster_start_time() AS started) s`,
		columns: []column{gauge("postmaster_start_time_seconds", "When the server was started, in Unix time.").of("extract(epoch FROM started)")},
	}
	line := view{
		part: "server", prefix: "pg_", from: "(VALUES (1)) one",
		columns: []column{gauge("timeline", "Timeline that the server writes or, as a standby, receives.").of(timeline)},
	}
	system := view{
		part: "server", prefix: "pg_", labels: []string{"system_identifier"}, from: "pg_control_system()",
		columns: []column{gauge("system_identifier", "1, with the number that a primary and all its standbys have in common.").of("1")},
	}
	p := t.part(started, line, system)
	p.Metrics = append([]exporter.Metric{static, replica}, p.Metrics...)
	views := p.Read
	p.Read = func(ctx context.Context, s *exporter.Sink) error {
		s.Give(static, 1, t.facts.name, t.facts.short())
		s.Give(replica, number(t.facts.standby))
		return views(ctx, s)
	}
	return p
}

// timeline is what the server writes; of a standby the newest that it knows of,
// for its last restartpoint may be on an older one.
const timeline = `CASE WHEN pg_is_in_recovery() THEN greatest(
	(SELECT received_tli FROM pg_stat_wal_receiver),
	(SELECT timeline_id FROM pg_control_checkpoint()),
	(SELECT min_recovery_end_timeline FROM pg_control_recovery()))
ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END`

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
