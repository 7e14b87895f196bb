package main

import (
	"context"
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
	ok := poll(30*time.Second, func() bool {
		r, err := http.Get(args[0])
		if err != nil {
			last = err.Error()
			return false
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		last = r.Status + " " + string(b)
		return err == nil && r.StatusCode == http.StatusOK && strings.Contains(string(b), text)
	})
	if !ok {
		ts.Fatalf("%s does not say %q: %s", args[0], text, last)
	}
}

// poll asks until the answer is yes, and says whether it was within the time.
func poll(within time.Duration, f func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
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
