package testservers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is one line of the process table.
type process struct {
	pid, parent int
	program     string // its name, of which the kernel keeps 15 bytes
	state       byte   // R, S, D, T for stopped, Z for ended and not waited for
	started     string // in ticks since boot: with the pid it names a process for good
}

// readProcess reads a line of the process table.
func readProcess(pid int) (process, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	p, err := parseStat(string(raw))
	if err != nil {
		return process{}, fmt.Errorf("read /proc/%d/stat: %w", pid, err)
	}
	p.pid = pid
	return p, nil
}

// parseStat reads what /proc/<pid>/stat says, but for the pid. The name of the
// program, in parentheses, may hold anything.
func parseStat(line string) (process, error) {
	begin, end := strings.IndexByte(line, '(')+1, strings.LastIndexByte(line, ')')
	if begin < 1 || begin > end {
		return process{}, errors.New("it names no program")
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return process{}, fmt.Errorf("it has %d fields after the name", len(fields))
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}, fmt.Errorf("%q is no parent", fields[1])
	}
	return process{parent: parent, program: line[begin:end], state: fields[0][0], started: fields[19]}, nil
}

// running says whether p has not ended yet. The first of its threads may be gone
// while others still die: until the last one is, its sockets take connections.
func (p process) running() bool {
	now, err := readProcess(p.pid)
	if err != nil || now.started != p.started {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	return now.state != 'Z' || err == nil && len(threads) > 1
}

// belonging returns the running processes of the server in dir: those that carry
// dir in their environment, and the descendants of those. The environment alone
// is not enough: the processes of PostgreSQL write over theirs; nor is the
// process group: each of them has its own. The name server of podman's networks
// is nobody's: it serves all engines of the machine, and ends with the last one.
func belonging(dir string) []process { return carrying(mark + "=" + dir + "/") }

// carrying returns the running processes with a text in their environment, and
// the descendants of those.
func carrying(text string) []process {
	table, ours := map[int]process{}, map[int]bool{}
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range paths {
		pid, _ := strconv.Atoi(filepath.Base(path))
		p, err := readProcess(pid)
		if err != nil || p.state == 'Z' || p.program == "aardvark-dns" {
			continue
		}
		table[pid] = p
		env, _ := os.ReadFile(path + "/environ")
		ours[pid] = bytes.Contains(env, []byte(text))
	}
	var found []process
	for pid, p := range table {
		// The table was not read in one instant, so there might be a ring in it.
		for up, generation := pid, 0; up != 0 && generation < len(table); up, generation = table[up].parent, generation+1 {
			if ours[up] {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

// patience is how long processes may take to stop or to die on a busy machine.
const patience = 30 * time.Second

// halt stops all processes of the server in dir, and returns them once none runs
// and none can make another.
func halt(dir string) ([]process, error) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ps, moving := belonging(dir), false
		for _, p := range ps {
			if p.state != 'T' {
				moving = true
				_ = syscall.Kill(p.pid, syscall.SIGSTOP) // it may have ended
			}
		}
		if !moving {
			return ps, nil
		}
		time.Sleep(time.Millisecond)
	}
	return belonging(dir), errors.New("its processes do not stop")
}

// slay kills all processes of the server in dir, and waits until they are gone.
func slay(dir string) error {
	ps, err := halt(dir)
	if err != nil {
		return err
	}
	for _, p := range ps {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	deadline := time.Now().Add(patience)
	for _, p := range ps {
		for p.running() {
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d does not die", p.pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}
