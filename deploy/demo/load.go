package demo

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// progress is what the load generator says each second.
type progress struct {
	At       time.Time      `json:"at"`
	Elapsed  float64        `json:"elapsed_seconds"`
	Offered  float64        `json:"offered"` // requests a second
	Sent     int            `json:"sent"`
	Answers  int            `json:"answers"`
	Failed   int            `json:"failed"`
	InFlight int            `json:"in_flight"`
	P50      float64        `json:"p50_ms"`
	P99      float64        `json:"p99_ms"` // of the last second
	Errors   map[string]int `json:"errors"`
}

// startLoad starts the load and sends what it says. The channel closes when the
// load has ended.
func startLoad(o Options, st *stage) (*child, <-chan progress, error) {
	cmd := exec.Command(o.App, "load", "--url", "http://"+st.balance, "--rate", st.script.rate(), "--progress", "json")
	log, err := os.OpenFile(filepath.Join(st.dir, "load.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout = w
	c, err := launch(cmd)
	if err = joinClose(err, w); err != nil {
		r.Close()
		return nil, nil, err
	}
	out := make(chan progress, 16)
	go func() {
		defer close(out)
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var p progress
			if json.Unmarshal(lines.Bytes(), &p) == nil && !p.At.IsZero() {
				out <- p
			}
		}
	}()
	return c, out, nil
}

// joinClose closes a file and returns the first error.
func joinClose(err error, f *os.File) error {
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
