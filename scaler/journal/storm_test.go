package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"flyball/rules"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FLYBALL_JOURNAL_STORM"); dir != "" {
		fmt.Println("error", storm(dir))
		os.Exit(1)
	}
	if dir := os.Getenv("FLYBALL_JOURNAL_KEEP"); dir != "" {
		fmt.Println("error", keepOn(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// storm begins and ends steps on four pools for as long as it lives, and says so
// only after the journal has said so. The i-th step of a pool comes with the
// memory i.
func storm(dir string) error {
	j, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	pending, err := j.Pending()
	if err != nil {
		return err
	}
	for _, e := range pending {
		if err := j.End(e.Seq, Outcome{OK: true, Resumed: true}); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	errs := make(chan error)
	for p := range 4 {
		go func() { errs <- stormPool(j, fmt.Sprintf("p%d", p)) }()
	}
	return <-errs
}

func stormPool(j *Journal, pool string) error {
	m, _, err := j.Memory(pool)
	if err != nil {
		return err
	}
	for i := m.Named + 1; ; i++ {
		tick := keep(pool, epoch, i)
		seq, err := j.Begin(grow(fmt.Sprintf("%s-%d", pool, i), pool, i), &tick)
		if err != nil {
			return err
		}
		fmt.Println("begun", pool, seq, i)
		if err := j.End(seq, Outcome{OK: true}); err != nil {
			return err
		}
		fmt.Println("ended", pool, seq, i)
	}
}

func child(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	return childOf(t, "FLYBALL_JOURNAL_STORM="+dir)
}

// childOf runs the test binary as the process that a variable asks for.
func childOf(t *testing.T, variable string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() })) //nolint:errcheck // it was killed
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("child said %q", lines.Text())
	}
	return cmd, lines
}

func TestKilledInAStormOfStepsNothingIsLostAndNothingIsHalf(t *testing.T) {
	dir := t.TempDir()
	said := map[Seq]string{} // what the journal said was done, by number
	ended := map[Seq]bool{}
	for round := range 4 {
		cmd, lines := child(t, dir)
		for n := 0; lines.Scan(); n++ {
			var word, pool string
			var seq Seq
			var i int
			if _, err := fmt.Sscan(lines.Text(), &word, &pool, &seq, &i); err != nil {
				if n > 60 && !strings.HasPrefix(lines.Text(), "error") {
					continue // the last line of the dead may be torn
				}
				t.Fatalf("child said %q", lines.Text())
			}
			said[seq] = fmt.Sprintf("%s-%d", pool, i)
			ended[seq] = ended[seq] || word == "ended"
			if n == 60+17*round {
				ok(t, cmd.Process.Kill())
			}
		}
		checkStorm(t, dir, said, ended)
	}
}

// checkStorm opens what the dead left: every step it spoke of is there, and each
// pool's memory is the one of its last step.
func checkStorm(t *testing.T, dir string, said map[Seq]string, ended map[Seq]bool) {
	t.Helper()
	j, err := Open(dir, Options{})
	ok(t, err)
	defer func() { ok(t, j.Close()) }()
	es, err := j.Entries(Filter{Oldest: true, Kinds: []Kind{Begun}, Limit: 10_000})
	ok(t, err)
	begun, last := map[Seq]string{}, map[string]int{}
	for _, e := range es {
		var s Step
		ok(t, json.Unmarshal(e.Body, &s))
		begun[e.Seq] = e.ID
		last[strings.TrimPrefix(e.Target, "pool/")] = s.To
	}
	for seq, id := range said {
		if begun[seq] != id {
			t.Errorf("entry %d is %q, and the journal had said %q", seq, begun[seq], id)
		}
	}
	for pool, to := range last {
		if m, found, err := j.Memory(pool); err != nil || !found || m.Named != to {
			t.Errorf("pool %s: memory %d (%v, %v), its last step %d", pool, m.Named, found, err, to)
		}
		if tick, found, err := j.LastTick(pool); err != nil || !found || tick.Out.To > to {
			t.Errorf("pool %s: tick %d (%v, %v), its last step %d", pool, tick.Out.To, found, err, to)
		}
	}
	pending, err := j.Pending()
	ok(t, err)
	if len(pending) > len(last) {
		t.Errorf("%d open steps of %d pools", len(pending), len(last))
	}
	for _, e := range pending {
		if ended[e.Seq] {
			t.Errorf("step %d is open, and the journal had said that it ended", e.Seq)
		}
	}
}

func TestASecondProcessIsToldWhoHasTheFolder(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := child(t, dir)
	_, err := Open(dir, Options{})
	if want := fmt.Sprintf("data folder is in use by pid %d: %s", cmd.Process.Pid, dir); !errors.Is(err, ErrInUse) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	ok(t, cmd.Process.Kill())
	cmd.Wait() //nolint:errcheck // it was killed
	j := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("second open in one process: %v", err)
	}
	ok(t, j.Note(Life, "", epoch, rules.Order{By: "x"}))
}
