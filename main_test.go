package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"flyball/deploy/testservers"
	"flyball/scaler/pool/process"
)

// TestMain makes the program itself available as flyball: to scripts, and to
// tests by its name.
func TestMain(m *testing.M) {
	process.Gate()
	if len(os.Args) > 1 && os.Args[1] == "balance" {
		main() // a service under test starts its balancer from its own executable, which is this one
	}
	testscript.Main(withServers{m}, map[string]func(){"flyball": main})
}

// withServers are tests that may start real servers.
type withServers struct{ m *testing.M }

// Run runs the tests, and ends the servers.
func (s withServers) Run() int { return testservers.Main(s.m) }

// TestScripts runs testdata/scripts/*.txtar against the real program. Each script
// has a folder of its own, and $ADDR, an address that is free.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(e *testscript.Env) error {
			e.Setenv("ADDR", freeAddress(t))
			e.Setenv("FLYBALL_ADDRESS", "http://"+e.Getenv("ADDR"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":      await,
			"post":       post,
			"substitute": substitute,
		},
		Condition: func(cond string) (bool, error) {
			name, ok := strings.CutPrefix(cond, "env:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Getenv(name) != "", nil
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// freeAddress is an address on loopback that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
