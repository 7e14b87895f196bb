package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// stat is what is read of a process, as /proc/pid/stat tells it.
type stat struct {
	state byte // Z and X have ended
	start uint64
}

// parseStat reads the text of /proc/pid/stat. The second field is the program's
// name in brackets and may hold anything, brackets and spaces included.
func parseStat(raw []byte) (stat, error) {
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return stat{}, errors.New("parse stat: no name in brackets")
	}
	fields := strings.Fields(string(raw[end+1:]))
	const state, start = 0, 19 // fields 3 and 22
	if len(fields) <= start || len(fields[state]) != 1 {
		return stat{}, errors.New("parse stat: too few fields")
	}
	ticks, err := strconv.ParseUint(fields[start], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse stat: %w", err)
	}
	return stat{state: fields[state][0], start: ticks}, nil
}

func readStat(pid int) (stat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(raw)
}

func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// ours returns the process under the record's pid if it is the very one that
// was started, ended but not reaped included.
func (r record) ours() (stat, bool) {
	if r.PID == 0 {
		return stat{}, false
	}
	s, err := readStat(r.PID)
	if err != nil || s.start != r.Start {
		return stat{}, false
	}
	boot, err := bootID()
	return s, err == nil && boot == r.Boot
}

// alive reports whether the member's process runs. One that has ended and that
// nobody reaped, as under a first process that reaps none, counts as ended.
func (r record) alive() bool {
	s, ok := r.ours()
	return ok && s.state != 'Z' && s.state != 'X'
}

// became reports whether the process has become the member and is no gate any
// more. One without arguments is about to end, and was a gate.
func (r record) became() bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(r.PID) + "/cmdline")
	return err == nil && len(raw) > 0 && !bytes.HasPrefix(raw, []byte(gateName+"\x00"))
}

// signal sends to the member's whole group, if its leader is still the one.
func (r record) signal(sig syscall.Signal) error {
	if !r.alive() {
		return nil
	}
	if err := syscall.Kill(-r.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process group %d: %w", r.PID, err)
	}
	return nil
}

// sweep ends what a member that has ended left in its group. The number of a
// group is not given anew while the group has a process, so it is ours as long
// as no other process bears it.
func (r record) sweep() {
	if r.PID == 0 {
		return
	}
	if boot, err := bootID(); err != nil || boot != r.Boot {
		return
	}
	if s, err := readStat(r.PID); err == nil && s.start != r.Start {
		return
	}
	_ = syscall.Kill(-r.PID, syscall.SIGKILL) // mostly nobody is left
	r.reap()
}

// reap takes the exit status of a member that ended, and says it for people. Of
// a process that an earlier Flyball started, the status went to somebody else.
func (r record) reap() string {
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(r.PID, &ws, syscall.WNOHANG, nil)
	switch {
	case err != nil || pid != r.PID:
		return "ended with a status that is not known"
	case ws.Signaled():
		return "ended by signal " + strconv.Itoa(int(ws.Signal())) + " (" + ws.Signal().String() + ")"
	default:
		return "ended with status " + strconv.Itoa(ws.ExitStatus())
	}
}
