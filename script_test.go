package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// await is the script command `await URL [text]`: it asks until the answer is 200
// and contains the text, or half a minute is over.
func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: await URL [text]")
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

// post is the script command `post URL [text]`: an act, with the token of data/token and,
// after the URL, a text that the answer has to contain.
func post(ts *testscript.TestScript, neg bool, args []string) {
	token := strings.TrimSpace(ts.ReadFile("data/token"))
	r, err := http.NewRequest(http.MethodPost, args[0], nil)
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	ts.Check(err)
	if text := string(b); (res.StatusCode >= http.StatusBadRequest) != neg || len(args) > 1 && !strings.Contains(text, args[1]) {
		ts.Fatalf("%s: %s %s", args[0], res.Status, text)
	}
}
