package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A pretender is a test that notes what becomes of it.
type pretender struct {
	testing.TB
	failed, skipped bool
	said            []string
	cleanups        []func()
}

func (p *pretender) Helper()                  {}
func (p *pretender) Failed() bool             { return p.failed }
func (p *pretender) Cleanup(f func())         { p.cleanups = append(p.cleanups, f) }
func (p *pretender) Logf(f string, v ...any)  { p.said = append(p.said, fmt.Sprintf(f, v...)) }
func (p *pretender) Context() context.Context { return context.Background() }

func (p *pretender) Skip(v ...any) {
	p.skipped = true
	p.said = append(p.said, fmt.Sprint(v...))
}

func (p *pretender) Fatal(v ...any) {
	p.failed = true
	p.said = append(p.said, fmt.Sprint(v...))
}

func (p *pretender) end() {
	for len(p.cleanups) > 0 {
		last := len(p.cleanups) - 1
		p.cleanups[last]()
		p.cleanups = p.cleanups[:last]
	}
}

func TestAServerThatIsNotInstalledSkipsTheTestAndFailsInCI(t *testing.T) {
	_, err := look("no-such-program", "its-package")
	for _, tt := range []struct {
		ci      string
		err     error
		skipped bool
	}{
		{"", err, true},
		{"true", err, false},
		{"", fmt.Errorf("start: %w", err), true},
		{"", errors.New("broken"), false},
	} {
		t.Setenv("CI", tt.ci)
		p := &pretender{}
		check(p, tt.err)
		if p.skipped != tt.skipped || p.failed == tt.skipped {
			t.Errorf("CI=%s, %v: skipped %v, failed %v", tt.ci, tt.err, p.skipped, p.failed)
		}
		if tt.skipped && (len(p.said) != 1 || p.said[0] != "no-such-program is not installed: apt-get install its-package") {
			t.Errorf("it said %q", p.said)
		}
	}
}

func TestTheLogOfAServerIsKeptOnlyIfTheTestFails(t *testing.T) {
	if _, err := tests.open(); err != nil { // outside of the folder for logs
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	for _, failed := range []bool{false, true} {
		p := &pretender{TB: t}
		s := StartPostgres(p)
		p.failed = failed
		p.end()
		gone(t, s.Dir())
		kept, _ := filepath.Glob(filepath.Join(os.TempDir(), "flyball-log-*"))
		if !failed {
			if len(kept) > 0 || len(p.said) > 0 {
				t.Errorf("passed, it kept %v and said %q", kept, p.said)
			}
			continue
		}
		if len(kept) != 1 || len(p.said) != 1 || !strings.Contains(p.said[0], kept[0]) {
			t.Fatalf("failed, it kept %v and said %q", kept, p.said)
		}
		if log, err := os.ReadFile(kept[0]); err != nil || !strings.Contains(string(log), "ready to accept connections") {
			t.Errorf("the log is %s, %v", log, err)
		}
		if !strings.Contains(p.said[0], "ready to accept connections") {
			t.Errorf("it said %q", p.said)
		}
	}
}

func TestAServerThatDoesNotStartSaysWhyAndLeavesNothingButItsLog(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	g, err := NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.place("sick")
	if err != nil {
		t.Fatal(err)
	}
	err = s.launch(t.Context(), func() error {
		s.program = program{
			path: "/bin/sh", args: []string{"-c", "echo no such relation; exit 3"}, patience: time.Minute,
			ready: func(context.Context) error { return errors.New("nobody listens") },
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "no such relation") || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("the error is %v", err)
	}
	gone(t, s.Dir())
	if path := regexp.MustCompile(`is kept in (\S+)`).FindStringSubmatch(err.Error()); path == nil {
		t.Errorf("the error is %v", err)
	} else if log, err := os.ReadFile(path[1]); err != nil || string(log) != "no such relation\n" {
		t.Errorf("the log is %q, %v", log, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestTestsShareAServer(t *testing.T) {
	one := SharedPostgres(t)
	t.Run("another test", func(t *testing.T) {
		if two := SharedPostgres(t); two != one {
			t.Error("there are two")
		}
	})
	one.SQL(t, "postgres", "SELECT 1")
}

func TestAGroupThatIsClosedLeavesNothing(t *testing.T) {
	g, err := NewGroup()
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.StartPostgres(t.Context())
	check(t, err)
	if _, err := g.StartStandby(t.Context(), p, "second"); err != nil {
		t.Error(err)
	}
	if _, err := g.StartHAProxy(t.Context(), "frontend\n"); err == nil {
		t.Error("it took a bad configuration")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	gone(t, g.dir)
}

func TestACacheIsFilledOnceHoweverManyWantIt(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var fills atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := cached(t.Context(), "thing-1", func(_ context.Context, dir string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(dir, "part"), nil, 0o644)
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "part")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("it was filled %d times", n)
	}
}

func TestACacheWhoseFillFailedIsFilledAgain(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	broken := errors.New("cut off")
	for i, want := range []error{broken, nil, nil} {
		_, err := cached(t.Context(), "thing-1", func(context.Context, string) error {
			if i > 1 {
				t.Error("it was filled again")
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", i, err, want)
		}
	}
}

func TestACacheThatSomebodyElseFillsIsAwaitedNoLongerThanTheContext(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := cached(t.Context(), "thing-1", func(context.Context, string) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cached(ctx, "thing-1", func(context.Context, string) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the one who waits: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatIsReservedIsNobodyElses(t *testing.T) {
	held, err := reserve("test/this")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reserve("test/this"); err == nil {
		t.Error("it was reserved twice")
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := reserve("test/this")
	if err != nil {
		t.Fatalf("given back: %v", err)
	}
	_ = again.Close()
}

func TestAServerThatCannotBeFetchedIsMissing(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir()+":"+os.Getenv("PATH"))
	mvn := filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "mvn")
	if err := os.WriteFile(mvn, []byte("#!/bin/sh\necho '[ERROR] no route to host'\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := cached(t.Context(), "cassandra-"+cassandraVersion, fetchCassandra)
	var m *Missing
	if !errors.As(err, &m) || !strings.Contains(m.Error(), "no route to host") || !strings.Contains(m.Error(), "cassandra-"+cassandraVersion) {
		t.Errorf("the error is %v", err)
	}
}
