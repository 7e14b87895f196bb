package testservers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victimOf names the variable that makes this program one that starts a server
// and awaits its death.
const victimOf = "FLYBALL_TESTSERVERS_VICTIM"

// victim starts servers of a kind, says where, and never ends by itself.
func victim(kind string) error {
	ctx := context.Background()
	g, err := NewGroup()
	if err != nil {
		return err
	}
	switch kind {
	case "postgres":
		err = startPair(ctx, g)
	case "postgres, frozen":
		if err = startPair(ctx, g); err == nil {
			_, err = halt(g.dir)
		}
	case "haproxy":
		_, err = g.StartHAProxy(ctx, "frontend web\n    bind 127.0.0.1:{{port \"web\"}}\n    mode tcp\n    timeout client 1m\n")
	case "podman":
		err = startContainers(ctx, g)
	case "cassandra":
		_, err = g.StartCassandra(ctx, CassandraOptions{})
	case "elasticsearch":
		_, err = g.StartElasticsearch(ctx)
	case "headless":
		behead()
		fmt.Printf("/proc/%d\n", os.Getpid())
		select {}
	}
	var m *Missing
	if errors.As(err, &m) {
		fmt.Println("missing:", m)
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println(g.dir)
	select {}
}

// behead ends the first thread of this program, and no other.
func behead() {
	for {
		go func() {
			runtime.LockOSThread()
			if syscall.Gettid() == os.Getpid() {
				_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
			}
		}()
		time.Sleep(time.Millisecond)
		if p, err := readProcess(os.Getpid()); err == nil && p.state == 'Z' {
			return
		}
	}
}

func TestAProcessRunsUntilItsLastThreadIsGone(t *testing.T) {
	dir, kill := startVictim(t, "headless")
	t.Cleanup(kill)
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	p, err := readProcess(pid)
	if err != nil || p.state != 'Z' || !p.running() {
		t.Errorf("without its first thread it is %+v, %v, and runs: %v", p, err, p.running())
	}
	kill()
	if p.running() {
		t.Error("killed, it runs")
	}
}

// startPair starts a primary with a standby, and a session that is busy.
func startPair(ctx context.Context, g *Group) error {
	p, err := g.StartPostgres(ctx)
	if err != nil {
		return err
	}
	if _, err := g.StartStandby(ctx, p, "second"); err != nil {
		return err
	}
	busy := g.command(ctx, p.dir, p.install.path("psql"), "-X", "-h", p.dir, "-p", p.Port(), "-U", "postgres", "-c", "SELECT sum(n) FROM generate_series(1, 1e12) n")
	return busy.Start()
}

// startContainers starts an engine with a container that runs and one that is paused.
func startContainers(ctx context.Context, g *Group) error {
	p, err := g.StartPodman(ctx)
	if err != nil {
		return err
	}
	script := fmt.Sprintf(`
		CGO_ENABLED=0 go build -o %[1]s/hello/program ./testdata/hello
		printf 'FROM scratch\nCOPY program /program\nENTRYPOINT ["/program"]\n' >%[1]s/hello/Containerfile
		%[1]s/podman build -q -t localhost/hello %[1]s/hello
		%[1]s/podman run -d localhost/hello
		%[1]s/podman pause $(%[1]s/podman run -d localhost/hello)`, p.dir)
	if out, err := exec.CommandContext(ctx, "/bin/sh", "-ec", "mkdir "+p.dir+"/hello\n"+script).CombinedOutput(); err != nil {
		return fmt.Errorf("start containers: %w: %s", err, out)
	}
	return nil
}

// startVictim runs this program as a victim, and returns the directory of its
// servers and what kills it.
func startVictim(t *testing.T, kind string) (dir string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), victimOf+"="+kind)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	lines := bufio.NewScanner(out)
	lines.Scan()
	if missing, ok := strings.CutPrefix(lines.Text(), "missing: "); ok {
		kill()
		check(t, &Missing{Program: kind, Reason: missing})
	}
	if _, err := os.Stat(lines.Text()); err != nil {
		kill()
		t.Fatalf("the victim says %q: %v", lines.Text(), err)
	}
	return lines.Text(), kill
}

// outside is what servers have outside of their directory: devices, and lines in
// the table of shared memory.
func outside(t *testing.T, dir string) (devices, segments []string) {
	t.Helper()
	bridges, _ := filepath.Glob(dir + "/podman-*/bridge")
	for _, file := range bridges {
		name, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, "/sys/class/net/"+string(name))
	}
	locks, _ := filepath.Glob(dir + "/postgres-*/data/postmaster.pid")
	for _, file := range locks {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, strings.Join(strings.Fields(strings.Split(string(raw), "\n")[6]), " "))
	}
	return devices, segments
}

// sharedMemory returns the key and the id of each segment on this machine.
func sharedMemory(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 {
			there[f[0]+" "+f[1]] = true
		}
	}
	return there
}

func TestAProgramThatIsKilledLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		kind                         string
		processes, devices, segments int // at least, exactly, exactly
	}{
		{"haproxy", 2, 0, 0},
		{"postgres", 12, 0, 2},
		{"postgres, frozen", 12, 0, 2},
		{"podman", 5, 1, 0}, // two conmon, two containers and the engine
		{"cassandra", 1, 0, 0},
		{"elasticsearch", 1, 0, 0},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			if testing.Short() && (tt.kind == "cassandra" || tt.kind == "elasticsearch") {
				t.Skip("Java takes long to start")
			}
			t.Parallel()
			dir, kill := startVictim(t, tt.kind)
			t.Cleanup(kill)
			devices, segments := outside(t, dir)
			if ps := carrying(dir + "/"); len(ps) < tt.processes || len(devices) != tt.devices || len(segments) != tt.segments {
				t.Errorf("there are %v, %q and %q", ps, devices, segments)
			}
			kill()
			until(t, "no process is left", func() bool { return len(carrying(dir+"/")) == 0 })
			until(t, "no file is left", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
			for _, d := range devices {
				if _, err := os.Stat(d); err == nil {
					t.Errorf("%s is left", d)
				}
			}
			for _, s := range segments {
				if sharedMemory(t)[s] {
					t.Errorf("the segment %s is left", s)
				}
			}
		})
	}
}
