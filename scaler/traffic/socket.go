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
)

// longestSocket is how long the kernel lets a unix socket's path be, with room
// to spare for the temporary name that it is bound under.
const longestSocket = 100

// ErrRunning means that another balancer holds the control socket.
var ErrRunning = errors.New("another balancer runs with this control socket")

// lockSocket takes the lock that goes with a control socket, for as long as the
// returned file is open.
func lockSocket(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), ErrRunning)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
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
