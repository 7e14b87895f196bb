package testservers

import (
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

//go:embed warden.sh
var wardenScript string

// A warden is a shell that outlives this program, however that ends, and then
// ends the servers that are left. The kernel's own way, a signal to the child of
// a parent that died, is of no use here: it is sent when the parent's thread
// ends, it reaches no grandchildren, and it cleans nothing up.
type warden struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// post sets a warden over dir.
func post(dir string) (*warden, error) {
	cmd := exec.Command("/bin/sh", "-c", wardenScript, "warden", dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the warden of %s: %w", dir, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the warden of %s: %w", dir, err)
	}
	return &warden{cmd: cmd, pipe: pipe}, nil
}

// dismiss lets the warden look at what is left, and go.
func (w *warden) dismiss() error {
	_ = w.pipe.Close()
	return w.cmd.Wait()
}
