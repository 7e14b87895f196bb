package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// waitFor is the script command `wait URL [text]`: it asks until the answer is 200
// and contains the text, or half a minute is over.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: wait URL [text]")
	}
	text := strings.Join(args[1:], " ")
	last := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		r, err := http.Get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		last = r.Status + " " + string(b)
		if err == nil && r.StatusCode == http.StatusOK && strings.Contains(string(b), text) {
			return
		}
	}
	ts.Fatalf("%s does not say %q: %s", args[0], text, last)
}

// substitute is the script command `substitute FILE`: $ADDR in it becomes the
// script's address.
func substitute(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		b, err := os.ReadFile(ts.MkAbs(name))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(strings.ReplaceAll(string(b), "$ADDR", ts.Getenv("ADDR"))), 0o644))
	}
}
