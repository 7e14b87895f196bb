package haproxy

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/collector/exporter"
)

// A figure is a column of the table under the name that HAProxy's own exporter
// gives it.
type figure struct {
	column string
	of     string // whose rows have it: f, b, s for frontends, backends, servers
	kind   prometheus.ValueType
	name   string  // after haproxy_frontend_ and so on
	per    float64 // how many of the column's units make one of the metric's; 0 is 1
	help   string
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// milliseconds make a second.
const milliseconds = 1000

// figures are those of a kind of row: f, b or s.
func figures(of string) []figure {
	var out []figure
	for _, f := range append(traffic(), health()...) {
		if strings.Contains(f.of, of) {
			out = append(out, f)
		}
	}
	return out
}

// traffic is what passes through, and what becomes of it.
func traffic() []figure {
	return []figure{
		{"scur", "fbs", gauge, "current_sessions", 0, "Sessions that are open."},
		{"smax", "fbs", gauge, "max_sessions", 0, "Most sessions that were open at once."},
		{"slim", "fbs", gauge, "limit_sessions", 0, "Sessions that may be open at once: maxconn; of a backend, fullconn."},
		{"stot", "fbs", counter, "sessions_total", 0, "Sessions."},
		{"rate_lim", "f", gauge, "limit_session_rate", 0, "New sessions that are let in a second; 0 is no limit."},
		{"rate_max", "fbs", gauge, "max_session_rate", 0, "Most new sessions in a second."},
		{"lastsess", "bs", gauge, "last_session_seconds", 0, "Time since a session was given to it; -1 is never."},
		{"conn_tot", "f", counter, "connections_total", 0, "Connections that were accepted."},
		{"conn_rate_max", "f", gauge, "connections_rate_max", 0, "Most new connections in a second."},
		{"req_tot", "fb", counter, "http_requests_total", 0, "HTTP requests."},
		{"req_rate_max", "f", gauge, "http_requests_rate_max", 0, "Most HTTP requests in a second."},
		{"intercepted", "f", counter, "intercepted_requests_total", 0, "HTTP requests that HAProxy answered itself: redirects, statistics, services."},
		{"lbtot", "bs", counter, "loadbalanced_total", 0, "Times that the balancing chose a server."},
		{"connect", "bs", counter, "connection_attempts_total", 0, "Connections to servers that were tried."},
		{"reuse", "bs", counter, "connection_reuses_total", 0, "Requests over a connection that was there already."},
		{"bin", "fbs", counter, "bytes_in_total", 0, "Bytes of requests."},
		{"bout", "fbs", counter, "bytes_out_total", 0, "Bytes of responses."},
		{"qcur", "bs", gauge, "current_queue", 0, "Requests that wait for a server."},
		{"qmax", "bs", gauge, "max_queue", 0, "Most requests that waited at once."},
		{"qlimit", "s", gauge, "queue_limit", 0, "Requests that may wait for this server: maxqueue."},
		{"dreq", "fb", counter, "requests_denied_total", 0, "Requests that a rule denied."},
		{"dresp", "fbs", counter, "responses_denied_total", 0, "Responses that a rule denied."},
		{"dcon", "f", counter, "denied_connections_total", 0, "Connections that a rule denied."},
		{"dses", "f", counter, "denied_sessions_total", 0, "Sessions that a rule denied."},
		{"ereq", "f", counter, "request_errors_total", 0, "Requests that were not understood, or broke off."},
		{"econ", "bs", counter, "connection_errors_total", 0, "Requests that found no way to a server."},
		{"eresp", "bs", counter, "response_errors_total", 0, "Responses that were not understood, or broke off."},
		{"wretr", "bs", counter, "retry_warnings_total", 0, "Connections that were tried again."},
		{"wredis", "bs", counter, "redispatch_warnings_total", 0, "Requests that were given to another server, as the first did not answer."},
		{"wrew", "fbs", counter, "failed_header_rewriting_total", 0, "Headers that could not be changed."},
		{"eint", "fbs", counter, "internal_errors_total", 0, "Errors of HAProxy's own."},
		{"cli_abrt", "bs", counter, "client_aborts_total", 0, "Transfers that the client broke off."},
		{"srv_abrt", "bs", counter, "server_aborts_total", 0, "Transfers that the server broke off."},
		{"comp_in", "fb", counter, "http_comp_bytes_in_total", 0, "Bytes that were given to be compressed."},
		{"comp_out", "fb", counter, "http_comp_bytes_out_total", 0, "Bytes that compression made of them."},
		{"comp_byp", "fb", counter, "http_comp_bytes_bypassed_total", 0, "Bytes that were not compressed, for want of time or bandwidth."},
		{"comp_rsp", "fb", counter, "http_comp_responses_total", 0, "Responses that were compressed."},
		{"cache_lookups", "fb", counter, "http_cache_lookups_total", 0, "Requests that were looked up in the cache."},
		{"cache_hits", "fb", counter, "http_cache_hits_total", 0, "Requests that the cache answered."},
		{"qtime", "bs", gauge, "queue_time_average_seconds", milliseconds, "Mean wait for a server, over the last 1024 requests."},
		{"ctime", "bs", gauge, "connect_time_average_seconds", milliseconds, "Mean time to connect, over the last 1024 requests."},
		{"rtime", "bs", gauge, "response_time_average_seconds", milliseconds, "Mean time to the response, over the last 1024 requests."},
		{"ttime", "bs", gauge, "total_time_average_seconds", milliseconds, "Mean time of a session, over the last 1024."},
		{"qtime_max", "bs", gauge, "max_queue_time_seconds", milliseconds, "Longest wait for a server."},
		{"ctime_max", "bs", gauge, "max_connect_time_seconds", milliseconds, "Longest time to connect."},
		{"rtime_max", "bs", gauge, "max_response_time_seconds", milliseconds, "Longest time to the response."},
		{"ttime_max", "bs", gauge, "max_total_time_seconds", milliseconds, "Longest time of a session."},
	}
}

// health is what servers are taken for, and the connections that are kept to them.
func health() []figure {
	return []figure{
		{"weight", "bs", gauge, "weight", 0, "Weight that counts now; of a backend, the sum of its servers'."},
		{"uweight", "bs", gauge, "uweight", 0, "Weight as it was set; of a backend, the sum of its servers'."},
		{"act", "b", gauge, "active_servers", 0, "Servers that are up and have a weight, without backups."},
		{"bck", "b", gauge, "backup_servers", 0, "Backup servers that are up and have a weight."},
		{"chkfail", "s", counter, "check_failures_total", 0, "Checks that failed while the server was up."},
		{"chkdown", "bs", counter, "check_up_down_total", 0, "Times that it went down."},
		{"lastchg", "bs", gauge, "check_last_change_seconds", 0, "Time since it last went up or down."},
		{"downtime", "bs", counter, "downtime_seconds_total", 0, "Time that it was down."},
		{"throttle", "s", gauge, "current_throttle", 0, "Per cent of its weight that a server has in its slow start."},
		{"check_duration", "s", gauge, "check_duration_seconds", milliseconds, "How long the last check took."},
		{"srv_icur", "s", gauge, "idle_connections_current", 0, "Connections that are kept for reuse."},
		{"src_ilim", "s", gauge, "idle_connections_limit", 0, "Connections that may be kept for reuse."},
		{"idle_conn_cur", "s", gauge, "unsafe_idle_connections_current", 0, "Kept connections on which a first request may be lost."},
		{"safe_conn_cur", "s", gauge, "safe_idle_connections_current", 0, "Kept connections that have served before."},
		{"used_conn_cur", "s", gauge, "used_connections_current", 0, "Connections in use."},
		{"need_conn_est", "s", gauge, "need_connections_current", 0, "Connections that HAProxy reckons are needed."},
	}
}

// metric is the metric of a figure for a kind of row.
func (f figure) metric(prefix string, labels []string) exporter.Metric {
	return exporter.Metric{Name: prefix + f.name, Help: f.help, Kind: f.kind, Labels: labels}
}

// in is a number of the column, in the metric's unit.
func (f figure) in(v float64) float64 {
	if f.per > 0 {
		return v / f.per
	}
	return v
}
