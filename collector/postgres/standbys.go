package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"flyball/collector/exporter"
)

// end is the position up to which there is WAL to be sent: on a primary that
// which it writes, on a standby that sends on that which it has.
const end = `CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END`

// standbysQuery has at least one row, for the end is wanted though nobody follows.
// Of those that share all labels the one that is furthest behind comes first.
const standbysQuery = `SELECT
	r.pid IS NOT NULL, coalesce(r.application_name, ''), coalesce(host(r.client_addr), ''), coalesce(r.state, ''), coalesce(s.slot_name::text, ''), coalesce(r.sync_state, ''),
	(` + end + ` - '0/0')::float8,
	(r.sent_lsn - '0/0')::float8, (r.write_lsn - '0/0')::float8, (r.flush_lsn - '0/0')::float8, (r.replay_lsn - '0/0')::float8,
	extract(epoch FROM r.write_lag)::float8, extract(epoch FROM r.flush_lag)::float8, extract(epoch FROM r.replay_lag)::float8
FROM (VALUES (1)) one LEFT JOIN (pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid) ON true
ORDER BY r.replay_lsn`

// standby is a row of pg_stat_replication.
type standby struct {
	follows                             bool // it is there at all
	application, client, state, slot    string
	sync                                string
	end                                 pgtype.Float8
	sent, written, flushed, replayed    pgtype.Float8 // positions
	writtenLag, flushedLag, replayedLag pgtype.Float8 // seconds, as the server has them
}

// standbyMetrics are what is told of each.
type standbyMetrics struct {
	end, behind, syncState                    exporter.Metric
	sentBytes, writeBytes, flushBytes         exporter.Metric
	replayBytes                               exporter.Metric
	writeSeconds, flushSeconds, replaySeconds exporter.Metric
}

func newStandbyMetrics() standbyMetrics {
	labels := []string{"application_name", "client_addr", "state", "slot_name"}
	bytes := func(name, what string) exporter.Metric {
		return exporter.Gauge("pg_stat_replication_"+name+"_diff_bytes", "WAL that the server has and "+what+".", labels...)
	}
	seconds := func(name, what string) exporter.Metric {
		return exporter.Gauge("pg_stat_replication_"+name+"_lag_seconds", "Age of the oldest WAL that the standby has not "+what+"; 0 when there is none.", labels...)
	}
	return standbyMetrics{
		end:           exporter.Gauge("pg_stat_replication_pg_current_wal_lsn_bytes", "Position in the WAL up to which there is something to send, in bytes.", labels...),
		behind:        exporter.Gauge("pg_stat_replication_pg_wal_lsn_diff", "WAL that the standby has not replayed, in bytes.", labels...),
		syncState:     exporter.Gauge("pg_stat_replication_sync_state", "1, with whether commits wait for the standby: async, potential, sync or quorum.", append(labels, "sync_state")...),
		sentBytes:     bytes("sent", "has not sent"),
		writeBytes:    bytes("write", "that the standby has not written"),
		flushBytes:    bytes("flush", "that the standby has not flushed"),
		replayBytes:   bytes("replay", "that the standby has not replayed"),
		writeSeconds:  seconds("write", "written"),
		flushSeconds:  seconds("flush", "flushed"),
		replaySeconds: seconds("replay", "replayed"),
	}
}

func (m standbyMetrics) all() []exporter.Metric {
	return []exporter.Metric{
		m.end, m.behind, m.syncState, m.sentBytes, m.writeBytes, m.flushBytes, m.replayBytes,
		m.writeSeconds, m.flushSeconds, m.replaySeconds,
	}
}

// standbys is what the server knows of those that it sends WAL to.
func (t *target) standbys() exporter.Part {
	m := newStandbyMetrics()
	return exporter.Part{
		Name: "standbys", Metrics: m.all(),
		Read: func(ctx context.Context, s *exporter.Sink) error {
			if err := t.facts.mayRead(view{stats: true}); err != nil {
				return err
			}
			var r standby
			dest := []any{
				&r.follows, &r.application, &r.client, &r.state, &r.slot, &r.sync, &r.end,
				&r.sent, &r.written, &r.flushed, &r.replayed, &r.writtenLag, &r.flushedLag, &r.replayedLag,
			}
			told := map[string]bool{}
			return t.query(ctx, standbysQuery, nil, dest, func() {
				key := strings.Join([]string{r.application, r.client, r.state, r.slot}, "\x00")
				if r.end.Valid && !told[key] {
					told[key] = true
					t.tellOf(m, r, s)
				}
			})
		},
	}
}

// tellOf tells of one standby.
func (t *target) tellOf(m standbyMetrics, r standby, s *exporter.Sink) {
	now := time.Now()
	if !t.facts.standby { // a standby's trail is of the end that it hears of
		t.trail.note(r.end.Float64, now)
	}
	if !r.follows {
		return
	}
	labels := []string{r.application, r.client, r.state, r.slot}
	s.Give(m.end, r.end.Float64, labels...)
	s.Give(m.syncState, 1, append(labels, r.sync)...)
	for _, position := range []struct {
		bytes, seconds exporter.Metric
		at, said       pgtype.Float8
	}{
		{m.sentBytes, exporter.Metric{}, r.sent, pgtype.Float8{}},
		{m.writeBytes, m.writeSeconds, r.written, r.writtenLag},
		{m.flushBytes, m.flushSeconds, r.flushed, r.flushedLag},
		{m.replayBytes, m.replaySeconds, r.replayed, r.replayedLag},
		{m.behind, exporter.Metric{}, r.replayed, pgtype.Float8{}},
	} {
		if !position.at.Valid {
			continue
		}
		l := lag{end: r.end.Float64, at: position.at.Float64, said: position.said}
		s.Give(position.bytes, l.bytes(), labels...)
		if seconds, known := l.seconds(&t.trail, now); known && position.seconds.Name != "" {
			s.Give(position.seconds, seconds, labels...)
		}
	}
}
