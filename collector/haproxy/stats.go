package haproxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"flyball/collector/exporter"
)

// stats are the numbers of frontends, backends and servers: rows of `show stat`.
// Listeners, which it tells of where socket-stats is on, are left out.
type stats struct {
	frontends, backends, servers scope

	checkStatus exporter.Metric
	checkCode   exporter.Metric
	byState     exporter.Metric
	missing     exporter.Metric
	expected    exporter.Metric
	left        exporter.Metric
}

// A scope is one kind of row.
type scope struct {
	numbers     []number
	status      exporter.Metric
	sessions    exporter.Metric
	utilisation exporter.Metric
}

// A number is what a column of a scope is told as.
type number struct {
	figure
	metric exporter.Metric
	values []string // of further labels
}

// serverStates are those that HAProxy's own exporter tells of.
func serverStates() []string { return []string{"DOWN", "UP", "MAINT", "DRAIN", "NOLB"} }

// checkResults is what a check that ended can have said.
func checkResults() []string {
	return strings.Fields("HANA SOCKERR L4OK L4TOUT L4CON L6OK L6TOUT L6RSP L7TOUT L7RSP L7OK L7OKC L7STS PROCERR PROCTOUT PROCOK")
}

func newStats() stats {
	st := stats{
		frontends: newScope("f", "haproxy_frontend_", "proxy"),
		backends:  newScope("b", "haproxy_backend_", "proxy"),
		servers:   newScope("s", "haproxy_server_", "proxy", "server"),

		checkStatus: exporter.Gauge("haproxy_server_check_status", "1, with what the last check said.", "proxy", "server", "state"),
		checkCode:   exporter.Gauge("haproxy_server_check_code", "Code in the answer to the last check, e.g. of HTTP.", "proxy", "server"),
		byState:     exporter.Gauge("haproxy_backend_agg_server_status", "Servers by their state.", "proxy", "state"),
		missing: exporter.Gauge("haproxy_server_check_missing",
			"1 if the server is sent requests and no health check would stop that; an agent alone does not, as one that is gone changes nothing.", "proxy", "server"),
		expected: exporter.Gauge("haproxy_backend_servers_expected",
			"Servers that should serve: those in maintenance, draining or without weight are not counted.", "proxy"),
		left: exporter.Gauge("haproxy_backend_servers_left", "Servers, of those that should serve, that are up; backups are counted.", "proxy"),
	}
	st.frontends.utilisation.Help = "Share of the sessions that may be open at once (maxconn) which are."
	st.backends.utilisation.Help = "Share of the sessions that its servers that are up may have (their maxconn) which they have; not told if one of them has no limit."
	st.servers.utilisation.Help = "Share of the sessions that may be open at once (maxconn) which are; beyond it requests wait."
	return st
}

func newScope(of, prefix string, labels ...string) scope {
	sc := scope{
		status:      exporter.Gauge(prefix+"status", "1 for the state that it is in.", slices.Concat(labels, []string{"state"})...),
		utilisation: exporter.Gauge(prefix+"session_utilisation_ratio", "", labels...),
	}
	for _, f := range figures(of) {
		n := number{figure: f, metric: f.metric(prefix, labels)}
		if f.column == "scur" {
			sc.sessions = n.metric
		}
		sc.numbers = append(sc.numbers, n)
	}
	responses := exporter.Counter(prefix+"http_responses_total", "HTTP responses by the class of their code.", slices.Concat(labels, []string{"code"})...)
	for _, code := range []string{"1xx", "2xx", "3xx", "4xx", "5xx", "other"} {
		sc.numbers = append(sc.numbers, number{figure: figure{column: "hrsp_" + code, name: "http_responses_total"}, metric: responses, values: []string{code}})
	}
	return sc
}

func (st stats) metrics() []exporter.Metric {
	var ms []exporter.Metric
	for _, sc := range []scope{st.frontends, st.backends, st.servers} {
		ms = append(ms, sc.status)
		for _, n := range sc.numbers {
			if len(n.values) == 0 || n.values[0] == "1xx" {
				ms = append(ms, n.metric)
			}
		}
		ms = append(ms, sc.utilisation)
	}
	return append(ms, st.byState, st.checkStatus, st.checkCode, st.missing, st.expected, st.left)
}

// tell gives the numbers of a table. A cell that is no number costs only itself.
func (st stats) tell(text string, s *exporter.Sink) error {
	t, err := parseTable(text)
	if err != nil {
		return err
	}
	a := answer{stats: st, table: t, sink: s, tallies: map[string]*tally{}}
	for _, row := range t.rows {
		switch t.at(row, "type") {
		case "0":
			a.frontend(row)
		case "1":
			a.backend(row)
		case "2":
			a.server(row)
		}
	}
	a.count()
	return errors.Join(a.wrong...)
}

// An answer is a table while it is told.
type answer struct {
	stats
	table
	sink    *exporter.Sink
	tallies map[string]*tally // by backend
	order   []string          // of the backends that have servers
	wrong   []error
}

// most is how many errors of one answer are told.
const most = 5

func (a *answer) note(err error) {
	if len(a.wrong) < most {
		a.wrong = append(a.wrong, err)
	}
}

func (a *answer) frontend(row []string) {
	proxy := a.at(row, "pxname")
	state := "UP"
	if a.at(row, "status") == "STOP" {
		state = "DOWN"
	}
	a.states(a.frontends.status, []string{"DOWN", "UP"}, state, proxy)
	a.numbers(a.frontends, row, proxy)
	a.utilise(a.frontends, row, proxy)
}

func (a *answer) backend(row []string) {
	proxy := a.at(row, "pxname")
	state, _, _ := strings.Cut(a.at(row, "status"), " ")
	a.states(a.backends.status, []string{"DOWN", "UP"}, state, proxy)
	a.numbers(a.backends, row, proxy)
}

func (a *answer) server(row []string) {
	proxy, server := a.at(row, "pxname"), a.at(row, "svname")
	state := serverState(a.at(row, "status"))
	if !slices.Contains(serverStates(), state) {
		a.note(protocol(fmt.Errorf("status of %s/%s: %q is not known", proxy, server, a.at(row, "status"))))
		return
	}
	sessions, _, err := a.number(row, "scur")
	if state == "MAINT" {
		a.sink.Give(a.servers.status, 1, proxy, server, state)
		if sessions > 0 {
			a.sink.Give(a.servers.sessions, sessions, proxy, server)
		}
		if err != nil {
			a.note(err)
		}
	} else {
		a.states(a.servers.status, serverStates(), state, proxy, server)
		a.numbers(a.servers, row, proxy, server)
		a.utilise(a.servers, row, proxy, server)
		a.check(row, proxy, server)
	}
	a.tally(proxy, state, row)
}

// serverState is a state in the words of HAProxy's own exporter: it is up unless
// something else is said, and goes up or down by steps ("UP 1/3").
func serverState(status string) string {
	if status == "no check" {
		return "UP"
	}
	state, _, _ := strings.Cut(status, " ")
	return state
}

// check tells what the last check said, and whether there is one at all.
func (a *answer) check(row []string, proxy, server string) {
	// An asterisk says that the next check is under way; its code is not known yet.
	said, underWay := strings.CutPrefix(a.at(row, "check_status"), "* ")
	if slices.Contains(checkResults(), said) {
		a.sink.Give(a.checkStatus, 1, proxy, server, said)
	}
	code, has, err := a.number(row, "check_code")
	switch {
	case err != nil:
		a.note(err)
	case has && !underWay:
		a.sink.Give(a.checkCode, code, proxy, server)
	}
	missing := 0.0
	if a.at(row, "status") == "no check" && a.at(row, "weight") != "0" {
		missing = 1
	}
	a.sink.Give(a.missing, missing, proxy, server)
}

// numbers gives what a row has. A proxy of TCP has some numbers of HTTP, too, which
// are always 0.
func (a *answer) numbers(sc scope, row []string, labels ...string) {
	tcp := a.at(row, "mode") == "tcp"
	for _, n := range sc.numbers {
		if tcp && strings.HasPrefix(n.name, "http_") {
			continue
		}
		v, has, err := a.number(row, n.column)
		switch {
		case err != nil:
			a.note(err)
		case has:
			a.sink.Give(n.metric, n.in(v), slices.Concat(labels, n.values)...)
		}
	}
}

// states gives one series for each state.
func (a *answer) states(m exporter.Metric, states []string, is string, labels ...string) {
	for _, state := range states {
		v := 0.0
		if state == is {
			v = 1
		}
		a.sink.Give(m, v, slices.Concat(labels, []string{state})...)
	}
}

// utilise gives how near the sessions are to their limit, if there is one.
func (a *answer) utilise(sc scope, row []string, labels ...string) {
	open, has, err := a.number(row, "scur")
	limit, _, err2 := a.number(row, "slim")
	if err == nil && err2 == nil && has && limit > 0 {
		a.sink.Give(sc.utilisation, open/limit, labels...)
	}
}
