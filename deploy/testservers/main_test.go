package testservers

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(victimOf); kind != "" {
		if err := victim(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(Main(m))
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// gone fails the test if the server in dir left a process or a file.
func gone(t *testing.T, dir string) {
	t.Helper()
	if ps := belonging(dir); len(ps) > 0 {
		t.Errorf("processes are left: %v", ps)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is left", dir)
	}
}

// answers says whether something takes connections there and sends or awaits.
func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
