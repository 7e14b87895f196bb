package postgres

// slots keep WAL, and rows that are dead, for whoever follows. They are told by
// the two sets of names that postgres_exporter has.
func slots() []view {
	legacy := view{
		part: "slots", prefix: "pg_replication_slots_", labels: []string{"slot_name", "database"},
		from: "pg_replication_slots",
		columns: []column{
			gauge("active", "Whether somebody follows by the slot."),
			gauge("pg_wal_lsn_diff", "WAL that the slot keeps, in bytes; absent while it was never used.").of(end + " - restart_lsn"),
		},
	}
	legacy.columns[0] = legacy.columns[0].of("active::int")
	of := []string{"slot_name", "slot_type"}
	slot := view{
		part: "slots", prefix: "pg_replication_slot_", labels: of,
		from: "pg_replication_slots",
		columns: []column{
			gauge("slot_current_wal_lsn", "Position of the server in the WAL, in bytes.").of(end + " - '0/0'"),
			gauge("slot_confirmed_flush_lsn", "Position up to which the follower has all, in bytes; of logical slots only.").of("confirmed_flush_lsn - '0/0'"),
			gauge("slot_is_active", "Whether somebody follows by the slot.").of("active::int"),
			gauge("safe_wal_size_bytes", "WAL that can be written before the slot loses what it keeps; absent unless max_slot_wal_keep_size is set.").of("safe_wal_size"),
		},
	}
	status := view{
		part: "slots", prefix: "pg_replication_slot_", labels: append(of, "wal_status"),
		from:    "pg_replication_slots WHERE wal_status IS NOT NULL",
		columns: []column{gauge("wal_status", "1, with whether what the slot keeps is there: reserved, extended, unreserved or lost.").of("1")},
	}
	return []view{legacy, slot, status}
}

// background is what writes pages to disk. Version 17 took checkpoints out of
// pg_stat_bgwriter, and what sessions write into pg_stat_io.
func background() []view {
	writer := view{
		part: "background", prefix: "pg_stat_bgwriter_", from: "pg_stat_bgwriter",
		columns: []column{
			counter("checkpoints_timed_total", "Checkpoints that came by time.").of("checkpoints_timed").before(17),
			counter("checkpoints_req_total", "Checkpoints that were asked for, most by WAL that grew to max_wal_size.").of("checkpoints_req").before(17),
			counter("checkpoint_write_time_total", "Time that checkpoints spent writing, in milliseconds.").of("checkpoint_write_time").before(17),
			counter("checkpoint_sync_time_total", "Time that checkpoints spent syncing, in milliseconds.").of("checkpoint_sync_time").before(17),
			counter("buffers_checkpoint_total", "Buffers that checkpoints wrote.").of("buffers_checkpoint").before(17),
			counter("buffers_clean_total", "Buffers that the background writer wrote.").of("buffers_clean"),
			counter("maxwritten_clean_total", "Times that the background writer stopped for it had written too many buffers.").of("maxwritten_clean"),
			counter("buffers_backend_total", "Buffers that sessions wrote themselves.").of("buffers_backend").before(17),
			counter("buffers_backend_fsync_total", "Times that sessions had to sync themselves.").of("buffers_backend_fsync").before(17),
			counter("buffers_alloc_total", "Buffers that were allocated.").of("buffers_alloc"),
			gauge("stats_reset_total", "When these numbers began at 0, in Unix time.").of("extract(epoch FROM stats_reset)"),
		},
	}
	checkpointer := view{
		part: "background", prefix: "pg_stat_checkpointer_", from: "pg_stat_checkpointer", since: 17,
		columns: []column{
			counter("num_timed_total", "Checkpoints that came by time.").of("num_timed"),
			counter("num_requested_total", "Checkpoints that were asked for, most by WAL that grew to max_wal_size.").of("num_requested"),
			counter("num_done_total", "Checkpoints that were completed.").of("num_done").from(18),
			counter("restartpoints_timed_total", "Restartpoints that came by time, on a standby.").of("restartpoints_timed"),
			counter("restartpoints_req_total", "Restartpoints that were asked for.").of("restartpoints_req"),
			counter("restartpoints_done_total", "Restartpoints that were completed.").of("restartpoints_done"),
			counter("write_time_total", "Time that checkpoints and restartpoints spent writing, in milliseconds.").of("write_time"),
			counter("sync_time_total", "Time that checkpoints and restartpoints spent syncing, in milliseconds.").of("sync_time"),
			counter("buffers_written_total", "Buffers that checkpoints and restartpoints wrote.").of("buffers_written"),
			gauge("stats_reset_total", "When these numbers began at 0, in Unix time.").of("extract(epoch FROM stats_reset)"),
		},
	}
	return []view{writer, checkpointer}
}

// wal is what was written ahead.
func wal() []view {
	position := view{
		part: "wal", prefix: "pg_wal_", from: "(VALUES (1)) one",
		columns: []column{
			gauge("lsn_location_bytes", "Position in the WAL, in bytes: what a primary has written, and what a standby has replayed.").
				of("CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'"),
		},
	}
	stats := view{
		part: "wal", prefix: "pg_stat_wal_", from: "pg_stat_wal", since: 14,
		columns: []column{
			counter("records_total", "Records that were written.").of("wal_records"),
			counter("fpi_total", "Pages that were written whole.").of("wal_fpi"),
			counter("bytes_total", "WAL that was written, in bytes.").of("wal_bytes"),
			counter("buffers_full_total", "Times that WAL was written because its buffers were full.").of("wal_buffers_full"),
			counter("write_total", "Writes of WAL buffers.").of("wal_write").before(18),
			counter("sync_total", "Syncs of WAL files.").of("wal_sync").before(18),
			counter("write_time_seconds_total", "Time spent writing WAL buffers; 0 unless track_wal_io_timing is on.").of("wal_write_time / 1000").before(18),
			counter("sync_time_seconds_total", "Time spent syncing WAL files; 0 unless track_wal_io_timing is on.").of("wal_sync_time / 1000").before(18),
		},
	}
	return []view{position, stats}
}

// walFiles is a part of its own: who may not list folders has the rest of the WAL.
func walFiles() view {
	return view{
		part: "wal_files", prefix: "pg_wal_",
		from: "(SELECT count(*) AS segments, sum(size) AS size FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$') x",
		columns: []column{
			gauge("segments", "Files of WAL on disk."),
			gauge("size_bytes", "Disk space that they take.").of("size"),
		},
	}
}

// archiver copies WAL away.
func archiver() view {
	return view{
		part: "archiver", prefix: "pg_stat_archiver_", from: "pg_stat_archiver",
		columns: []column{
			counter("archived_count", "Files of WAL that were archived."),
			counter("failed_count", "Tries to archive that failed."),
			gauge("last_archive_age", "Time since a file was archived, in seconds; absent if none was.").of("extract(epoch FROM clock_timestamp() - last_archived_time)"),
		},
	}
}
