package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What is read of a program: of its answer, which is refused if it is longer, and of
// its words for people, the rest of which is dropped.
const (
	mostAnswer = 4 << 20
	mostWords  = 16 << 10
)

// errTooLong means that an answer was longer than may be.
var errTooLong = errors.New("the answer is longer than 4 MiB")

// run asks the program something. Nothing of it is left when it returns.
func (p *Pool) run(ctx context.Context, q question) (answer, error) {
	a, err := p.ran(ctx, q)
	if err != nil {
		return answer{}, fmt.Errorf("run %s %s: %w", p.cfg.Command[0], q.Verb, err)
	}
	p.heed(a)
	return a, nil
}

func (p *Pool) ran(ctx context.Context, q question) (answer, error) {
	raw, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	within, cancel := context.WithTimeoutCause(ctx, p.cfg.Timeout, fmt.Errorf("it took longer than %s: %w", p.cfg.Timeout, context.DeadlineExceeded))
	defer cancel()
	said, words := &bounded{most: mostAnswer, whole: true}, &bounded{most: mostWords}
	cmd := exec.CommandContext(within, p.cfg.Command[0], p.cfg.Command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.cfg.environment(), bytes.NewReader(append(raw, '\n')), said, words
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = finish(cmd)
	tellWords(p.log, q.Verb, words)
	switch {
	case within.Err() != nil:
		return answer{}, context.Cause(within)
	case said.over:
		return answer{}, errTooLong
	case err != nil:
		return answer{}, fmt.Errorf("%w; what it printed on standard error is in the log", err)
	}
	return parse(said.text.Bytes(), q.Verb)
}

// finish runs a program to its end, and ends what it leaves behind: its group cannot
// be another's before it has been waited for. The thread stays, since the program is
// killed when the one that started it ends: so that it does not outlive Flyball, whose
// successor would do the step anew beside it.
func finish(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return cmd.Wait()
}

// tellWords puts what a program said to people into the log, by the line.
func tellWords(log *slog.Logger, verb string, words *bounded) {
	for line := range strings.Lines(strings.ToValidUTF8(words.text.String(), "?")) {
		if line = strings.TrimSpace(line); line != "" {
			log.Info("the pool's program says", "verb", verb, "line", line)
		}
	}
	if words.over {
		log.Warn("the pool's program says more than is kept", "verb", verb, "kept_bytes", mostWords)
	}
}

// bounded keeps the beginning of what is written. Where it has to be whole, more than
// that is an error, at which the program sees its pipe close.
type bounded struct {
	text  bytes.Buffer
	most  int
	whole bool
	over  bool
}

// Write implements [io.Writer].
func (b *bounded) Write(raw []byte) (int, error) {
	fits := min(len(raw), b.most-b.text.Len())
	b.text.Write(raw[:fits])
	if fits < len(raw) {
		b.over = true
		if b.whole {
			return fits, errTooLong
		}
	}
	return len(raw), nil
}

// environment is what the program finds in its own.
func (c Config) environment() []string {
	var env []string
	for _, k := range []string{"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		v := c.Env[k]
		if v == "" {
			v = os.Getenv(k)
		}
		env = append(env, k+"="+v)
	}
	return env
}
