package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// flyballMain grows web-1 and, at "asked", removes it, and kills itself at a point.
func flyballMain(dir, ports, point string) {
	exe, _ := os.Executable()
	p, err := New("web", Config{Command: []string{exe, "member", "{addr}"}, Ports: Ports(ports)}, Env{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	p.point = func(at string) {
		if at == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
	}
	ctx := context.Background()
	err = p.Grow(ctx, step("web-1"))
	ms, _, lookErr := p.Look(ctx)
	if err != nil || lookErr != nil || len(ms) != 1 {
		fmt.Println(err, lookErr, ms)
		os.Exit(4)
	}
	_ = p.Remove(ctx, journal.Step{Victims: []rules.MemberID{ms[0].ID}}) // does not return
}

// members lists the processes that serve for a pool in dir, by their environment
// or, while they are gates, by their arguments.
func processesOf(t *testing.T, addrs string) []int {
	t.Helper()
	first, _, _ := Ports(addrs).Range()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), fmt.Sprintf("\x00member\x00127.0.0.1:%d\x00", first)) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if s, err := readStat(pid); err == nil && s.state != 'Z' {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestDeathAtAnyPointOrphansAndDoublesNobody(t *testing.T) {
	for _, tt := range []struct {
		point  string
		living int // members after the death
	}{
		{"intent", 0}, {"forked", 0}, {"recorded", 0}, {"opened", -1}, {"started", 1}, {"asked", 1}, {"told", -1},
	} {
		t.Run(tt.point, func(t *testing.T) {
			c, dir := config(t, 2), t.TempDir()
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), exe, "flyball", dir, string(c.Ports), tt.point).CombinedOutput()
			if status, ok := err.(*exec.ExitError); !ok || status.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("ended with %v: %s", err, out)
			}
			p := newPool(t, c, dir)
			clear(t, p)
			ms := pooltest.Look(t, p)
			if tt.living >= 0 && len(ms) != tt.living {
				t.Errorf("%d members are known, want %d", len(ms), tt.living)
			}
			switch {
			case tt.point == "asked":
				finish(t, p, ms[0])
			case tt.point == "told" && len(ms) == 1:
				finish(t, p, ms[0])
			case tt.point != "told":
				repeat(t, p, ms)
			}
			pooltest.Until(t, "one process a member", func() bool {
				return len(processesOf(t, string(c.Ports))) == len(pooltest.Look(t, p))
			})
		})
	}
}

// repeat is the open step done again: web-1 is there once, and alive.
func repeat(t *testing.T, p *Pool, before []rules.Member) {
	t.Helper()
	after := pooltest.Grow(t, p, "web-1")
	if len(after) != 1 || after[0].State != rules.Booting {
		t.Fatalf("after the repeated step: %+v", after)
	}
	if len(before) == 1 && before[0].ID != after[0].ID {
		t.Error("the member was replaced")
	}
	awaitOutput(t, p, "web-1")
}

// finish is the open removal done again.
func finish(t *testing.T, p *Pool, m rules.Member) {
	t.Helper()
	if m.State != rules.Leaving {
		t.Errorf("the member is %s, want leaving", m.State)
	}
	pooltest.Until(t, "the end", func() bool {
		if err := p.Remove(t.Context(), journal.Step{Victims: []rules.MemberID{m.ID}}); err != nil {
			t.Fatal(err)
		}
		return len(pooltest.Look(t, p)) == 0
	})
}

func TestMemberOutlivesFlyball(t *testing.T) {
	c, dir := config(t, 2), t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_ = exec.CommandContext(t.Context(), exe, "flyball", dir, string(c.Ports), "started").Run() // dies as told
	p := newPool(t, c, dir)
	clear(t, p)
	awaitOutput(t, p, "web-1")
	m := pooltest.Look(t, p)[0]
	if m.State != rules.Booting || time.Since(m.Born) > time.Minute {
		t.Fatalf("adopted %+v", m)
	}
	if err := syscall.Kill(pidOf(t, m), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	pooltest.Until(t, "death", func() bool { m = pooltest.Look(t, p)[0]; return m.State == rules.Dead })
	if m.Note != "ended with a status that is not known" {
		t.Errorf("note %q", m.Note)
	}
}
