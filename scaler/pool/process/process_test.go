package process

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// TestMain lets the test binary be the gate, a member, and a Flyball that dies.
func TestMain(m *testing.M) {
	Gate()
	switch {
	case len(os.Args) > 2 && os.Args[1] == "member":
		memberMain(os.Args[2], len(os.Args) > 3)
	case len(os.Args) > 4 && os.Args[1] == "flyball":
		flyballMain(os.Args[2], os.Args[3], os.Args[4])
	default:
		os.Exit(m.Run())
	}
}

// memberMain is a tiny server at addr, which may ignore the wish to end.
func memberMain(addr string, stubborn bool) {
	if stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	fmt.Println("serving", addr)
	_ = http.Serve(l, http.NotFoundHandler()) // ends with the process
}

// ports hands each pool of this test binary a range of its own.
var ports atomic.Int32

func config(t *testing.T, n int) Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Below the ports that the kernel gives to outgoing connections.
	first := 21000 + int(ports.Add(int32(n))) - n
	return Config{
		Command: []string{exe, "member", "{addr}"},
		Ports:   Ports(fmt.Sprintf("%d-%d", first, first+n-1)),
		Grace:   50 * time.Millisecond,
	}
}

func newPool(t *testing.T, c Config, dir string) *Pool {
	t.Helper()
	p, err := New("web", c, Env{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// clear ends whatever a test left running.
func clear(t *testing.T, p *Pool) {
	t.Helper()
	t.Cleanup(func() {
		rs, err := p.read()
		if err != nil {
			t.Error(err)
		}
		for _, r := range rs {
			r.sweep()
		}
	})
}

func pidOf(t *testing.T, m rules.Member) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimPrefix(m.Note, "pid "))
	if err != nil {
		t.Fatalf("member %s has the note %q", m.Name, m.Note)
	}
	return pid
}

func TestPoolKeepsTheContract(t *testing.T) {
	pooltest.Run(t, func(t *testing.T) pooltest.Harness {
		c, dir := config(t, 8), t.TempDir()
		p := newPool(t, c, dir)
		clear(t, p)
		return pooltest.Harness{
			Pool:  p,
			Again: func(t *testing.T) scaler.Pool { return newPool(t, c, dir) },
			Kill: func(t *testing.T, m rules.Member) {
				if err := syscall.Kill(pidOf(t, m), syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			},
			Stubborn: func(*testing.T) { p.cfg.Command = append(p.cfg.Command, "stubborn") },
			Booted:   func(t *testing.T, m rules.Member) { awaitOutput(t, p, m.Name) },
			Refused:  "no/name",
		}
	})
}

// awaitOutput waits until a member serves.
func awaitOutput(t *testing.T, p *Pool, name string) {
	t.Helper()
	pooltest.Until(t, "service", func() bool {
		raw, err := os.ReadFile(p.output(name))
		return err == nil && strings.Contains(string(raw), "serving")
	})
}

func TestMemberStandsByItself(t *testing.T) {
	p := newPool(t, config(t, 2), t.TempDir())
	clear(t, p)
	m := pooltest.Grow(t, p, "web-1")[0]
	awaitOutput(t, p, "web-1")
	pid := pidOf(t, m)
	if sid, err := getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d, %v, want its own, %d", sid, err, pid)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if err == nil && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "anon_inode:") &&
			to != os.DevNull && to != p.output("web-1") && !strings.HasPrefix(to, "/sys/") && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "pipe:") {
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !strings.Contains(string(env), "FLYBALL_MEMBER=web-1\x00") {
		t.Errorf("environment %q, %v", env, err)
	}
}

func getsid(pid int) (int, error) {
	sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

func TestPortsOfStrangersAreLeftAloneAndTheRangeHasAnEnd(t *testing.T) {
	c := config(t, 3)
	first, _, _ := c.Ports.Range()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := newPool(t, c, t.TempDir())
	clear(t, p)
	err = p.Grow(t.Context(), step("web-1", "web-2", "web-3"))
	if err == nil || !strings.Contains(err.Error(), "start web-3: no free port of "+string(c.Ports)+": members have 2, others 1") {
		t.Errorf("got %v", err)
	}
	ms, terms, err := p.Look(t.Context())
	if err != nil || len(ms) != 2 || terms.Most != 3 {
		t.Errorf("got %d members, terms %+v, %v", len(ms), terms, err)
	}
	for i, m := range ms {
		if want := fmt.Sprintf("127.0.0.1:%d", first+1+i); m.Addr != want {
			t.Errorf("%s is at %s, want %s", m.Name, m.Addr, want)
		}
	}
}

func step(names ...string) journal.Step {
	return journal.Step{ID: "s", Verb: journal.Grow, Names: names}
}

func TestExitStatusIsInTheNote(t *testing.T) {
	for _, tt := range []struct{ command, want string }{
		{"exit 7", "ended with status 7"},
		{"kill -9 $$", "ended by signal 9 (killed)"},
		{"exec /nowhere/program", "ended with status 127"},
	} {
		c := config(t, 1)
		c.Command = []string{"/bin/sh", "-c", tt.command}
		p := newPool(t, c, t.TempDir())
		clear(t, p)
		if err := p.Grow(t.Context(), step("web-1")); err != nil {
			t.Fatal(err)
		}
		var m rules.Member
		pooltest.Until(t, "death", func() bool { m = pooltest.Look(t, p)[0]; return m.State == rules.Dead })
		if m.Note != tt.want {
			t.Errorf("%s: note %q, want %q", tt.command, m.Note, tt.want)
		}
	}
}

func TestProgramThatIsNotThereIsAnErrorAndNoMember(t *testing.T) {
	c := config(t, 1)
	c.Command = []string{"/nowhere/program"}
	p := newPool(t, c, t.TempDir())
	if err := p.Grow(t.Context(), step("web-1")); err == nil || !strings.Contains(err.Error(), "/nowhere/program") {
		t.Errorf("got %v, want an error that names the program", err)
	}
	if ms := pooltest.Look(t, p); len(ms) != 0 {
		t.Errorf("members %v", ms)
	}
}

func TestWhatADeadMemberLeavesInItsGroupEndsWithIt(t *testing.T) {
	c := config(t, 1)
	file := filepath.Join(t.TempDir(), "child")
	c.Command = []string{"/bin/sh", "-c", "trap '' HUP; sleep 300 & echo $! > " + file + "; exit 1"}
	p := newPool(t, c, t.TempDir())
	clear(t, p)
	if err := p.Grow(t.Context(), step("web-1")); err != nil {
		t.Fatal(err)
	}
	var m rules.Member
	pooltest.Until(t, "death", func() bool { m = pooltest.Look(t, p)[0]; return m.State == rules.Dead })
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(t.Context(), journal.Step{Victims: []rules.MemberID{m.ID}}); err != nil {
		t.Fatal(err)
	}
	pooltest.Until(t, "the child's end", func() bool {
		s, err := readStat(child)
		return err != nil || s.state == 'Z'
	})
}

func TestPidOfAnotherProcessIsNotTheMember(t *testing.T) {
	p := newPool(t, config(t, 2), t.TempDir())
	clear(t, p)
	pooltest.Grow(t, p, "web-1")
	rs, err := p.read()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*record){
		func(r *record) { r.Start++ },
		func(r *record) { r.Boot = "another" },
	} {
		r := rs[0]
		change(&r)
		if r.alive() {
			t.Errorf("%+v counts as alive", r)
		}
		r.sweep()
		if !rs[0].alive() {
			t.Fatal("a stranger was ended")
		}
	}
}

func TestOutputThatGrowsTooLargeIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web-1.log")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", largestOutput)+"end"), 0o600); err != nil {
		t.Fatal(err)
	}
	boundOutput(path)
	kept, err := os.ReadFile(path + ".1")
	if err != nil || len(kept) != keptOutput || !strings.HasSuffix(string(kept), "end") {
		t.Errorf("kept %d bytes, %v", len(kept), err)
	}
	if s, err := os.Stat(path); err != nil || s.Size() != 0 {
		t.Errorf("%v, %v, want an empty file", s, err)
	}
}

func TestDamagedRecordIsAnErrorAndNotAMemberLess(t *testing.T) {
	p := newPool(t, config(t, 1), t.TempDir())
	if err := os.WriteFile(p.path("web-1"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Look(t.Context()); err == nil || !strings.Contains(err.Error(), p.path("web-1")) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0"))
	f.Add([]byte("7 ("))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := parseStat(raw); err == nil && s.state == 0 {
			t.Error("no state and no error")
		}
	})
}

func FuzzPorts(f *testing.F) {
	for _, s := range []string{"20000-20099", "1-1", "2-1", "-", "a-b", "1-70000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, err := Ports(s).Range()
		if err == nil && (first < 1 || last < first || last > 65535) {
			t.Errorf("%q is %d to %d", s, first, last)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"id":"web-1.x","name":"web-1","port":20000,"pid":7}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := decodeRecord(raw); err == nil && (strings.ContainsAny(r.Name, "/\x00") || r.PID == 1 || r.PID < 0) {
			t.Errorf("accepted %+v", r)
		}
	})
}
