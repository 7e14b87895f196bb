package haproxy

import (
	"errors"
	"fmt"

	"flyball/collector/exporter"
)

// process are the numbers of the process: fields of `show info`.
type process struct {
	fields      []field
	build       exporter.Metric
	utilisation exporter.Metric
}

// A field is a number of `show info` under the name that HAProxy's own exporter
// gives it.
type field struct {
	name   string
	metric exporter.Metric
}

func newProcess() process {
	return process{
		fields: append(limits(), work()...),
		build:  exporter.Gauge("haproxy_process_build_info", "1, with the version.", "version"),
		utilisation: exporter.Gauge("haproxy_process_connection_utilisation_ratio",
			"Share of the connections that the process may have at once (maxconn) which it has."),
	}
}

func (p process) metrics() []exporter.Metric {
	ms := []exporter.Metric{p.build, p.utilisation}
	for _, f := range p.fields {
		ms = append(ms, f.metric)
	}
	return ms
}

// tell gives the numbers of an answer to `show info`. A field that is not there,
// as HAProxy's version or build has it, is left out.
func (p process) tell(text string, s *exporter.Sink) error {
	info, err := parseInfo(text)
	if err != nil {
		return err
	}
	s.Give(p.build, 1, info["Version"])
	var wrong []error
	told := map[string]float64{}
	for _, f := range p.fields {
		value := info[f.name]
		if value == "" {
			continue
		}
		v, err := parseNumber(value)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", f.name, err))
			continue
		}
		told[f.name] = v
		s.Give(f.metric, v)
	}
	if told["Maxconn"] > 0 {
		s.Give(p.utilisation, told["CurrConns"]/told["Maxconn"])
	}
	return errors.Join(wrong...)
}

func processGauge(name, metric, help string) field {
	return field{name, exporter.Gauge("haproxy_process_"+metric, help)}
}

func processCounter(name, metric, help string) field {
	return field{name, exporter.Counter("haproxy_process_"+metric, help)}
}

// limits are what the process is and may.
func limits() []field {
	return []field{
		processGauge("Nbthread", "nbthread", "Threads."),
		processGauge("Nbproc", "nbproc", "Worker processes; 1 since HAProxy 2.5."),
		processGauge("Process_num", "relative_process_id", "Number of the worker process; 1 since HAProxy 2.5."),
		processGauge("Uptime_sec", "uptime_seconds", "Time since the worker was started."),
		processGauge("Start_time_sec", "start_time_seconds", "When the worker was started, in Unix time. A reload starts a worker."),
		processGauge("Stopping", "stopping", "1 while the worker serves its last connections and takes no new ones."),
		processGauge("Memmax_bytes", "max_memory_bytes", "Memory that the process may have; 0 is no limit."),
		processGauge("Ulimit-n", "max_fds", "Files that the process may have open."),
		processGauge("Maxsock", "max_sockets", "Sockets that the process may have."),
		processGauge("Maxconn", "max_connections", "Connections that the process may have: maxconn."),
		processGauge("Hard_maxconn", "hard_max_connections", "Most that maxconn may be raised to."),
		processGauge("MaxSslConns", "max_ssl_connections", "TLS connections that the process may have; 0 is no limit."),
		processGauge("Maxpipes", "max_pipes", "Pipes that the process may have."),
		processGauge("ConnRateLimit", "limit_connection_rate", "New connections that are let in a second; 0 is no limit."),
		processGauge("SessRateLimit", "limit_session_rate", "New sessions that are let in a second; 0 is no limit."),
		processGauge("SslRateLimit", "limit_ssl_rate", "New TLS connections that are let in a second; 0 is no limit."),
		processGauge("CompressBpsRateLim", "limit_http_comp", "Bytes a second beyond which nothing is compressed; 0 is no limit."),
		processGauge("MaxZlibMemUsage", "max_zlib_memory", "Memory beyond which nothing is compressed; only where zlib is used."),
		processGauge("BusyPolling", "busy_polling_enabled", "Whether the process polls without rest."),
	}
}

// work is what the process does.
func work() []field {
	return []field{
		processGauge("CurrConns", "current_connections", "Connections that are open."),
		processCounter("CumConns", "connections_total", "Connections."),
		processCounter("CumReq", "requests_total", "Requests; of the statistics and the Runtime API, too."),
		processGauge("CurrSslConns", "current_ssl_connections", "TLS connections that are open, to clients and servers."),
		processCounter("CumSslConns", "ssl_connections_total", "TLS connections, to clients and servers."),
		processCounter("PipesUsed", "pipes_used_total", "Pipes in use. It goes up and down; HAProxy's own exporter calls it a counter."),
		processCounter("PipesFree", "pipes_free_total", "Pipes that are kept. It goes up and down; HAProxy's own exporter calls it a counter."),
		processGauge("ConnRate", "current_connection_rate", "New connections in the last second."),
		processGauge("MaxConnRate", "max_connection_rate", "Most new connections in a second."),
		processGauge("SessRate", "current_session_rate", "New sessions in the last second."),
		processGauge("MaxSessRate", "max_session_rate", "Most new sessions in a second."),
		processGauge("SslRate", "current_ssl_rate", "New TLS connections in the last second."),
		processGauge("MaxSslRate", "max_ssl_rate", "Most new TLS connections in a second."),
		processGauge("SslFrontendKeyRate", "current_frontend_ssl_key_rate", "New TLS keys for clients in the last second."),
		processGauge("SslFrontendMaxKeyRate", "max_frontend_ssl_key_rate", "Most new TLS keys for clients in a second."),
		processGauge("SslFrontendSessionReuse_pct", "frontend_ssl_reuse", "Per cent of the clients' TLS connections that needed no new key."),
		processGauge("SslBackendKeyRate", "current_backend_ssl_key_rate", "New TLS keys for servers in the last second."),
		processGauge("SslBackendMaxKeyRate", "max_backend_ssl_key_rate", "Most new TLS keys for servers in a second."),
		processCounter("SslCacheLookups", "ssl_cache_lookups_total", "TLS sessions that were looked up."),
		processCounter("SslCacheMisses", "ssl_cache_misses_total", "TLS sessions that were not found."),
		processCounter("CompressBpsIn", "http_comp_bytes_in_total", "Bytes given to be compressed in the last second. HAProxy's own exporter calls it a counter."),
		processCounter("CompressBpsOut", "http_comp_bytes_out_total", "Bytes that compression made in the last second. HAProxy's own exporter calls it a counter."),
		processGauge("ZlibMemUsage", "current_zlib_memory", "Memory for compression; only where zlib is used."),
		processGauge("PoolAlloc_bytes", "pool_allocated_bytes", "Memory in pools."),
		processGauge("PoolUsed_bytes", "pool_used_bytes", "Memory of the pools that is in use."),
		processCounter("PoolFailed", "pool_failures_total", "Times that a pool found no memory."),
		processGauge("Tasks", "current_tasks", "Tasks."),
		processGauge("Run_queue", "current_run_queue", "Tasks that could run now."),
		processGauge("Idle_pct", "idle_time_percent", "Per cent of the last second that a thread had nothing to do."),
		processGauge("Jobs", "jobs", "Connections and listeners."),
		processGauge("Unstoppable Jobs", "unstoppable_jobs", "Those that a stop does not wait for."),
		processGauge("Listeners", "listeners", "Listeners."),
		processGauge("ActivePeers", "active_peers", "Connections to peers that were verified."),
		processGauge("ConnectedPeers", "connected_peers", "Peers that could be connected to."),
		processCounter("DroppedLogs", "dropped_logs_total", "Messages for the log that were lost."),
		processCounter("CumRecvLogs", "recv_logs_total", "Messages that were received to be logged."),
		processCounter("FailedResolutions", "failed_resolutions", "Names that could not be resolved."),
		processCounter("TotalBytesOut", "bytes_out_total", "Bytes that were sent."),
		processCounter("TotalSplicdedBytesOut", "spliced_bytes_out_total", "Bytes that were sent through a pipe of the kernel."),
		processGauge("BytesOutRate", "bytes_out_rate", "Bytes that were sent in the last second."),
	}
}
