// Package traffic is whoever sends requests to a pool's members.
//
// There are two kinds. Flyball's own balancer is a process of its own, so that
// neither the death nor the upgrade of Flyball cuts a request off: [Serve] is
// that process, [Balance] is Flyball's side, which starts it where none answers
// and speaks to it over a unix socket. The other is a HAProxy of the user's,
// whose slots the members fill: [HAProxy].
//
// The contract that draining rests on: a request is counted in progress in the
// same moment in which its member is picked. So once a member is withdrawn and
// its open requests are none, no request is on its way to it. How far it holds for
// HAProxy is said there.
package traffic

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"flyball/rules"
)

// Config says who sends requests to a pool's members: Flyball's own balancer, or
// a HAProxy. Of two pools, no two may have the same Balance, the same Control, or
// the same HAProxy and Backend; they may have the same State.
type Config struct {
	// Balance is the address, host:port, at which Flyball's own balancer listens.
	Balance string `yaml:"balance" doc:"host:port at which Flyball's own balancer takes requests; this or haproxy"`
	// Control is the balancer's unix socket; by default balance.sock in the
	// pool's folder under the data directory.
	Control string `yaml:"control" doc:"unix socket of the balancer; by default pools/<name>/balance.sock in the data folder"`
	// HAProxy is the name of a target of collect.haproxy, which has a socket.
	HAProxy string `yaml:"haproxy" doc:"name of a HAProxy in collect.haproxy, whose socket has level admin; this or balance"`
	// Backend is the backend whose server-template slots the members fill.
	Backend string `yaml:"backend" doc:"backend of the HAProxy with a line server-template web 1-20 localhost:1 check disabled, whose slots the members fill"`
	// State is the file that HAProxy reads its servers' state from.
	State string `yaml:"state" doc:"the HAProxy's server-state-file, which Flyball writes so that a reload forgets no member; it is loaded by load-server-state-from-file global"`
}

var backendName = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	for _, file := range []*string{&c.Control, &c.State} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(dir, *file)
		}
	}
}

// Validate names the mistakes of c, which stands at path in its document.
func (c Config) Validate(path string) []rules.Fault {
	switch {
	case c.Balance != "" && c.HAProxy != "":
		return []rules.Fault{{
			Path: path + ".haproxy", Text: "contradicts balance", Hint: "leave one of them out: one sends the requests",
		}}
	case c.Balance != "":
		return c.validateBalance(path)
	case c.HAProxy != "":
		return c.validateHAProxy(path)
	}
	return []rules.Fault{{
		Path: path, Text: "names nobody who sends requests",
		Hint: "write traffic: {balance: 127.0.0.1:8080}, or {haproxy: edge, backend: be_app, state: /var/lib/haproxy/state}, or leave traffic out",
	}}
}

func (c Config) validateBalance(path string) []rules.Fault {
	var fs []rules.Fault
	if _, _, err := net.SplitHostPort(c.Balance); err != nil {
		fs = append(fs, rules.Fault{
			Path: path + ".balance", Text: fmt.Sprintf("%q is no address", c.Balance),
			Hint: "write host:port, e.g. 127.0.0.1:8080",
		})
	}
	for _, f := range []struct{ name, value string }{{".backend", c.Backend}, {".state", c.State}} {
		if f.value != "" {
			fs = append(fs, rules.Fault{
				Path: path + f.name, Text: "is HAProxy's, and balance is Flyball's own balancer", Hint: "leave it out, or write haproxy in place of balance",
			})
		}
	}
	return fs
}

func (c Config) validateHAProxy(path string) []rules.Fault {
	var fs []rules.Fault
	wrong := func(where, text, hint string) {
		fs = append(fs, rules.Fault{Path: path + where, Text: text, Hint: hint})
	}
	switch {
	case c.Backend == "":
		wrong("", "does not say which backend of the HAProxy has the members", "add backend: be_app")
	case !backendName.MatchString(c.Backend):
		wrong(".backend", fmt.Sprintf("%q is no name of a backend", c.Backend), "write the name after `backend` in haproxy.cfg")
	}
	if c.State == "" {
		wrong("", "does not say where HAProxy reads the state of its servers at a reload, which forgets the members",
			"add state: /var/lib/haproxy/state, and to haproxy.cfg server-state-file and load-server-state-from-file global")
	}
	if c.Control != "" {
		wrong(".control", "is the socket of Flyball's own balancer", "leave it out: the HAProxy's stands in collect.haproxy")
	}
	return fs
}

// Check is how the balancer asks a member whether it takes requests.
type Check struct {
	HTTP    string        `json:"http,omitempty"`    // path; 200 to 399 is yes. "": a TCP connect
	Timeout time.Duration `json:"timeout,omitempty"` // default 1 s
}

func (c Check) withDefaults() Check {
	if c.Timeout <= 0 {
		c.Timeout = time.Second
	}
	if c.HTTP != "" && !strings.HasPrefix(c.HTTP, "/") {
		c.HTTP = "/" + c.HTTP
	}
	return c
}

// A Member is one row of the balancer's table, as its control socket tells it.
type Member struct {
	ID       rules.MemberID `json:"id"`
	Name     string         `json:"name"`
	Addr     string         `json:"addr"` // host:port
	Admitted bool           `json:"admitted"`
	Up       bool           `json:"up"`   // answers the balancer's own check
	Open     int            `json:"open"` // requests in progress
}

// A Change moves members into rotation and out of it. A member that is in
// neither list stays as it is.
type Change struct {
	Admit    []Member `json:"admit,omitempty"`
	Withdraw []Member `json:"withdraw,omitempty"`
}

// Table is all that a balancer must not forget.
type Table struct {
	Check   Check    `json:"check"`
	Members []Member `json:"members"`
}

// apiVersion is the version of the control socket's form.
const apiVersion = 1

// About is what a balancer says of itself.
type About struct {
	API     int       `json:"api"`
	PID     int       `json:"pid"`
	Version string    `json:"version,omitempty"`
	Listen  string    `json:"listen"` // as it was asked for
	Addr    string    `json:"addr"`   // as it came to be
	Started time.Time `json:"started"`
}
