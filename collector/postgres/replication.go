package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"flyball/collector/exporter"
)

// silence is how much longer than it takes to ask and be answered a receiver may
// hear nothing before it counts as cut off. After half of wal_receiver_timeout it
// asks its sender for a sign of life.
const silence = 5 * time.Second

// standing is how a standby stands to what it replays.
type standing struct {
	replayed, end pgtype.Float8 // positions; the end is that of the sender as it was last heard of
	age           pgtype.Float8 // of the last transaction that was replayed, in seconds
	paused        bool
	streams       bool          // a receiver is connected
	quiet         pgtype.Float8 // seconds since it heard of its sender
	patience      float64       // wal_receiver_timeout in seconds; 0: it is never asked
}

// standingQuery asks for it in one statement. A receiver that has heard of no end
// yet is at it: a sender that has more sends it at once.
const standingQuery = `SELECT
	(pg_last_wal_replay_lsn() - '0/0')::float8,
	(greatest(r.latest_end_lsn, r.written_lsn, pg_last_wal_receive_lsn()) - '0/0')::float8,
	extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8,
	CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
	coalesce(r.status = 'streaming', false),
	extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time)::float8,
	extract(epoch FROM current_setting('wal_receiver_timeout')::interval)::float8
FROM (VALUES (1)) one LEFT JOIN pg_stat_wal_receiver r ON true`

// hears says whether the end is that of the sender now.
func (s standing) hears() bool {
	asked := s.patience > 0 && s.quiet.Valid && s.quiet.Float64 > s.patience/2+silence.Seconds()
	return s.streams && !asked
}

// replicationMetrics are what a server tells of its own replication.
type replicationMetrics struct {
	lagSeconds, lagBytes, lastReplay, paused, streaming exporter.Metric
}

func newReplicationMetrics() replicationMetrics {
	return replicationMetrics{
		lagSeconds: exporter.Gauge("pg_replication_lag_seconds", "Age of the oldest WAL that the standby knows of and has not replayed; 0 when it has replayed all, and on a primary. Absent while it does not hear of its sender: how far it is behind is not known then."),
		lagBytes:   exporter.Gauge("pg_replication_lag_bytes", "WAL that the standby knows of and has not replayed. Absent on a primary, and while the standby does not hear of its sender."),
		lastReplay: exporter.Gauge("pg_replication_last_replay_seconds", "Time since the last transaction that was replayed was committed. It grows while nobody writes, and is no lag."),
		paused:     exporter.Gauge("pg_replication_is_replay_paused", "Whether the standby was told not to replay."),
		streaming:  exporter.Gauge("pg_replication_is_streaming", "Whether the standby is connected to a sender and hears of it. Absent on a primary."),
	}
}

// replication is what a standby says of its lag, and of its receiver.
func (t *target) replication() exporter.Part {
	m := newReplicationMetrics()
	receiver := receiver()
	return exporter.Part{
		Name:    receiver.part,
		Metrics: append([]exporter.Metric{m.lagSeconds, m.lagBytes, m.lastReplay, m.paused, m.streaming}, receiver.metrics()...),
		Read: func(ctx context.Context, s *exporter.Sink) error {
			if !t.facts.standby {
				s.Give(m.lagSeconds, 0)
				return nil
			}
			if err := t.facts.mayRead(receiver); err != nil {
				return err
			}
			var st standing
			dest := []any{&st.replayed, &st.end, &st.age, &st.paused, &st.streams, &st.quiet, &st.patience}
			if err := t.query(ctx, standingQuery, nil, dest, func() { t.tell(m, st, s) }); err != nil {
				return err
			}
			return t.read(ctx, receiver, s)
		},
	}
}

// tell tells of a standby.
func (t *target) tell(m replicationMetrics, st standing, s *exporter.Sink) {
	s.Give(m.paused, number(st.paused))
	s.Give(m.streaming, number(st.hears()))
	if st.age.Valid {
		s.Give(m.lastReplay, max(st.age.Float64, 0))
	}
	if !st.hears() || !st.end.Valid || !st.replayed.Valid {
		return
	}
	now := time.Now()
	t.trail.note(st.end.Float64, now)
	l := lag{end: st.end.Float64, at: st.replayed.Float64, said: st.age}
	s.Give(m.lagBytes, l.bytes())
	if seconds, known := l.seconds(&t.trail, now); known {
		s.Give(m.lagSeconds, seconds)
	}
}

// receiver is the process that receives WAL from the sender. Statuses are the
// numbers of postgres_exporter.
func receiver() view {
	return view{
		part: "replication", prefix: "pg_stat_wal_receiver_", labels: []string{"upstream_host", "slot_name"}, stats: true,
		from: "(SELECT *, sender_host AS upstream_host FROM pg_stat_wal_receiver) r",
		columns: []column{
			gauge("status", "What the WAL receiver does: -1 stopping, 0 stopped, 1 starting, 2 streaming, 3 waiting, 4 restarting, -2 anything else.").
				of("CASE status WHEN 'stopping' THEN -1 WHEN 'stopped' THEN 0 WHEN 'starting' THEN 1 WHEN 'streaming' THEN 2 WHEN 'waiting' THEN 3 WHEN 'restarting' THEN 4 ELSE -2 END"),
			counter("receive_start_lsn", "Position in the WAL at which it began, in bytes.").of("receive_start_lsn - '0/0'"),
			gauge("receive_start_tli", "Timeline on which it began."),
			counter("written_lsn", "Position up to which it has written, in bytes.").of("written_lsn - '0/0'"),
			counter("flushed_lsn", "Position up to which it has flushed, in bytes.").of("flushed_lsn - '0/0'"),
			gauge("received_tli", "Timeline of the last WAL that was received."),
			gauge("last_msg_send_time", "When the last message was sent by the sender, in Unix time of its clock.").of("extract(epoch FROM last_msg_send_time)"),
			gauge("last_msg_receipt_time", "When the last message was received, in Unix time.").of("extract(epoch FROM last_msg_receipt_time)"),
			counter("latest_end_lsn", "Position of the sender that it last heard of, in bytes.").of("latest_end_lsn - '0/0'"),
			gauge("latest_end_time", "When it heard of a new position of the sender, in Unix time.").of("extract(epoch FROM latest_end_time)"),
		},
	}
}
