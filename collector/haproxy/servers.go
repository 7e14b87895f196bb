package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// State is whether HAProxy's checks let a server have requests.
type State int

// The states, by HAProxy's numbers.
const (
	Stopped  State = 0 // down, or in maintenance
	Starting State = 1 // up, and gets fewer requests for a while (slowstart)
	Running  State = 2
	Stopping State = 3 // up, and asked by itself for no more requests
)

// Admin is what was ordered of a server, as a set.
type Admin int

// The orders, by HAProxy's numbers.
const (
	ForcedMaint     Admin = 0x01
	InheritedMaint  Admin = 0x02 // of the server that it tracks
	ConfiguredMaint Admin = 0x04 // written as `disabled`; it stays set when the server is made ready
	ForcedDrain     Admin = 0x08
	InheritedDrain  Admin = 0x10
	UnresolvedMaint Admin = 0x20 // its name has no address
	HostnameMaint   Admin = 0x40
)

// A Server is one `server` line, or one slot of a `server-template` line, as one
// worker of HAProxy has it.
type Server struct {
	Backend, Name string
	Addr          netip.AddrPort // its address is not valid where there is none
	Host          string         // the name it was written with; "": it was written with an address
	State         State
	Admin         Admin
	Weight        int
	Checked       bool   // its line says `check`
	Status        string // in HAProxy's words, e.g. UP 1/2, DRAIN, MAINT
	Check         string // what the last check found, e.g. L4CON Connection refused
	Sessions      int    // streams open to it
	Queued        int    // requests that wait for it
}

// Maint reports whether it gets no request at all.
func (s Server) Maint() bool {
	return s.Admin&(ForcedMaint|InheritedMaint|UnresolvedMaint|HostnameMaint) != 0
}

// Drain reports whether it gets those requests only that must go to it, by a
// cookie or a stick table.
func (s Server) Drain() bool { return !s.Maint() && s.Admin&(ForcedDrain|InheritedDrain) != 0 }

// Up reports whether it gets requests.
func (s Server) Up() bool {
	return !s.Maint() && !s.Drain() && (s.State == Running || s.State == Starting)
}

// A Backend is what one worker of HAProxy says of a backend.
type Backend struct {
	Worker   int           // its process, as HAProxy numbers it: another one after a reload
	Uptime   time.Duration // of the worker, in whole seconds
	Stopping bool          // the worker only finishes what it has begun
	Servers  []Server
}

// Backend reads a backend's servers, all from the same worker.
func (r *Runtime) Backend(ctx context.Context, name string) (Backend, error) {
	answers, err := r.ask(ctx, "show info", "show servers state "+name, "show stat "+name+" 4 -1")
	if err != nil {
		return Backend{}, err
	}
	b, err := newBackend(answers)
	if err != nil {
		return Backend{}, fmt.Errorf("read backend %s of HAProxy at %s: %w", name, r, err)
	}
	return b, nil
}

// Dump is the state of all servers as text, as HAProxy reads it back at its start
// from its server-state-file.
func (r *Runtime) Dump(ctx context.Context) (string, error) {
	text, err := r.Ask(ctx, "show servers state")
	if err == nil {
		_, err = parseServers(text)
	}
	if err != nil {
		return "", fmt.Errorf("dump the state of the servers of HAProxy at %s: %w", r, err)
	}
	return text, nil
}

func newBackend(answers []string) (Backend, error) {
	for _, a := range answers {
		if err := Refusal(a); err != nil {
			return Backend{}, err
		}
	}
	info, err := parseInfo(answers[0])
	if err != nil {
		return Backend{}, err
	}
	worker, e1 := integer("Pid", info["Pid"])
	uptime, e2 := integer("Uptime_sec", info["Uptime_sec"])
	if err := errors.Join(e1, e2); err != nil {
		return Backend{}, err
	}
	servers, err := parseServers(answers[1])
	if err != nil {
		return Backend{}, err
	}
	b := Backend{Worker: worker, Uptime: time.Duration(uptime) * time.Second, Stopping: info["Stopping"] == "1", Servers: servers}
	return b, addSessions(servers, answers[2])
}

// addSessions completes servers by what the statistics say of them.
func addSessions(servers []Server, stats string) error {
	t, err := parseTable(stats)
	if err != nil {
		return err
	}
	rows := map[string][]string{}
	for _, row := range t.rows {
		rows[t.at(row, "svname")] = row
	}
	for i := range servers {
		s := &servers[i]
		row := rows[s.Name]
		if row == nil {
			return protocol(fmt.Errorf("the statistics know no server %s", s.Name))
		}
		var e1, e2 error
		s.Sessions, e1 = integer("scur", t.at(row, "scur"))
		s.Queued, e2 = integer("qcur", t.at(row, "qcur"))
		if err := errors.Join(e1, e2); err != nil {
			return fmt.Errorf("server %s: %w", s.Name, err)
		}
		s.Status = t.at(row, "status")
		s.Check = strings.TrimSpace(strings.TrimPrefix(t.at(row, "check_status"), "* ") + " " + t.at(row, "last_chk"))
	}
	return nil
}

// parseServers reads the answer of `show servers state`: the version, the names of
// the columns, and a row for each server.
func parseServers(text string) ([]Server, error) {
	if !strings.HasSuffix(text, "\n") {
		return nil, protocol(errBrokeOff)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "1" || len(lines) < 2 || !strings.HasPrefix(lines[1], "# ") {
		return nil, protocol(fmt.Errorf("the answer is no state of servers: %w", said(text)))
	}
	columns := strings.Fields(lines[1][2:])
	var servers []Server
	for i, line := range lines[2:] {
		s, err := parseServer(columns, strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func parseServer(columns, values []string) (Server, error) {
	if len(values) != len(columns) {
		return Server{}, protocol(fmt.Errorf("%d values for %d columns", len(values), len(columns)))
	}
	row := map[string]string{}
	for i, c := range columns {
		row[c] = values[i]
	}
	var errs []error
	value := func(column string) int {
		n, err := integer(column, row[column])
		errs = append(errs, err)
		return n
	}
	s := Server{
		Backend: row["be_name"], Name: row["srv_name"], State: State(value("srv_op_state")),
		Admin: Admin(value("srv_admin_state")), Weight: value("srv_uweight"),
	}
	const configured = 0x02 // a bit of srv_check_state
	s.Checked = value("srv_check_state")&configured != 0
	if s.Host = row["srv_fqdn"]; s.Host == "-" {
		s.Host = ""
	}
	ip, _ := netip.ParseAddr(row["srv_addr"]) // a unix socket, or none
	if port := value("srv_port"); port >= 0 && port <= 65535 {
		s.Addr = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	if s.Backend == "" || s.Name == "" {
		errs = append(errs, protocol(errors.New("a server has no name")))
	}
	return s, errors.Join(errs...)
}

// integer reads a whole number that is called what.
func integer(what, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, protocol(fmt.Errorf("%s is %q and no number", what, text))
	}
	return n, nil
}
