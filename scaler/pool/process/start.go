package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// start makes a member of an intent: record, gate, record with pid, go.
func (p *Pool) start(r record) (err error) {
	path, argv, env, err := p.cfg.command(r)
	if err != nil {
		return err
	}
	env = append(env, "FLYBALL_POOL="+p.name, "FLYBALL_MEMBER="+r.Name)
	if err := p.write(r); err != nil {
		return err
	}
	p.point("intent")
	pid, gate, err := p.fork(r, append([]string{gateName, path}, argv...), env)
	if err != nil {
		return errors.Join(fmt.Errorf("start process: %w", err), p.forget(r))
	}
	p.point("forked")
	// Closed without a word, the gate ends.
	defer func() { err = errors.Join(err, gate.Close()) }()
	r.PID = pid
	if err := p.identify(&r); err != nil {
		return errors.Join(err, p.abandon(r, gate))
	}
	p.point("recorded")
	if _, err := gate.Write([]byte{gateOpen}); err != nil {
		return fmt.Errorf("let process go: %w", err)
	}
	p.point("opened")
	r.Opened = true
	if err := p.write(r); err != nil {
		return err
	}
	p.point("started")
	p.log.Info("member started", "pool", p.name, "member", r.Name, "pid", pid, "addr", r.addr())
	return nil
}

func (p *Pool) identify(r *record) error {
	s, err := readStat(r.PID)
	if err != nil {
		return fmt.Errorf("identify process: %w", err)
	}
	if r.Boot, err = bootID(); err != nil {
		return err
	}
	r.Start = s.start
	return p.write(*r)
}

// abandon takes back a member whose gate never opened. The gate is our child and
// not reaped, so its pid is nobody else's.
func (p *Pool) abandon(r record, gate *os.File) error {
	err := errors.Join(gate.Close(), syscall.Kill(r.PID, syscall.SIGKILL))
	_, werr := syscall.Wait4(r.PID, nil, 0, nil)
	r.PID = 0
	return errors.Join(err, werr, p.forget(r))
}

// fork starts the gate and returns its pid and the end of the pipe that opens it.
func (p *Pool) fork(r record, argv, env []string) (int, *os.File, error) {
	out, err := newOutput(p.output(r.Name))
	if err != nil {
		return 0, nil, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	wait, open, err := os.Pipe()
	if err != nil {
		return 0, nil, err
	}
	defer wait.Close()
	// This very program, even where its file was replaced meanwhile.
	proc, err := os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
		Dir: p.cfg.Dir, Env: env,
		Files: []*os.File{null, out, out, wait},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, errors.Join(err, open.Close())
	}
	pid := proc.Pid
	return pid, open, proc.Release() // reaped by pid when it is looked at
}
