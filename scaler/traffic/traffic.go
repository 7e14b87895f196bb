// Package traffic is whoever sends requests to a pool's members.
//
// The one kind so far is Flyball's own balancer, a process of its own, so that
// neither the death nor the upgrade of Flyball cuts a request off: [Serve] is
// that process, [Balance] is Flyball's side, which starts it where none answers
// and speaks to it over a unix socket.
//
// The contract that draining rests on: a request is counted in progress in the
// same moment in which its member is picked. So once a member is withdrawn and
// its open requests are none, no request is on its way to it.
package traffic

import (
	"fmt"
	"net"
	"strings"
	"time"

	"flyball/rules"
)

// Config says who sends requests to a pool's members.
type Config struct {
	// Balance is the address, host:port, at which Flyball's own balancer listens.
	Balance string `yaml:"balance" required:"true" doc:"host:port at which Flyball's own balancer takes requests"`
	// Control is the balancer's unix socket; by default balance.sock in the
	// pool's folder under the data directory.
	Control string `yaml:"control" doc:"unix socket of the balancer; by default pools/<name>/balance.sock in the data folder"`
}

// Validate names the mistakes of c, which stands at path in its document.
func (c Config) Validate(path string) []rules.Fault {
	if c.Balance == "" {
		return []rules.Fault{{
			Path: path, Text: "names nobody who sends requests",
			Hint: "write traffic: {balance: 127.0.0.1:8080}, or leave traffic out",
		}}
	}
	if _, _, err := net.SplitHostPort(c.Balance); err != nil {
		return []rules.Fault{{
			Path: path + ".balance", Text: fmt.Sprintf("%q is no address", c.Balance),
			Hint: "write host:port, e.g. 127.0.0.1:8080",
		}}
	}
	return nil
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
