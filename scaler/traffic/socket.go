package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// longestSocket is how long the kernel lets a unix socket's path be, with room
// to spare for the temporary name that it is bound under.
const longestSocket = 100

// ErrRunning means that another balancer holds the control socket.
var ErrRunning = errors.New("another balancer runs with this control socket")

// errHeld means that somebody else has a lock.
var errHeld = errors.New("somebody else has it")

// lockSocket takes the lock that goes with a control socket, for as long as the
// returned file is open.
func lockSocket(path string) (*os.File, error) {
	f, err := lockFile(path)
	if errors.Is(err, errHeld) {
		err = fmt.Errorf("lock %s.lock: %w", path, ErrRunning)
	}
	return f, err
}

// lockFile takes the lock that goes with a file, path with .lock, for as long as
// the returned file is open: the lock ends with the process, and with nothing else.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = syscall.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		err = errHeld
	}
	return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
}

// locked reports whether a balancer has the lock. It only asks: were it to try,
// it would be in the way of one that is just starting.
func locked(path string) (bool, error) {
	f, err := os.Open(path + ".lock")
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open lock: %w", err)
	}
	defer f.Close()
	held := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held); err != nil {
		return false, fmt.Errorf("ask for lock %s: %w", f.Name(), err)
	}
	return held.Type != syscall.F_UNLCK, nil
}

// listenSocket listens at path for this user alone. The socket takes its name
// only when its mode is right, and takes it from one that a crash left behind.
func listenSocket(path string) (net.Listener, error) {
	tmp := path + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	var l net.Listener
	err := nearSocket(tmp, func(near string) (err error) {
		l, err = net.Listen("unix", near)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it is renamed
	if err := errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("name socket: %w", err), l.Close())
	}
	return l, nil
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	var conn net.Conn
	err := nearSocket(path, func(near string) (err error) {
		conn, err = d.DialContext(ctx, "unix", near)
		return err
	})
	return conn, err
}

// nearSocket calls f with a name for path that is short enough for a socket.
func nearSocket(path string, f func(string) error) error {
	if len(path) <= longestSocket {
		return f(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return f(filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(path)))
}
