package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrInUse means that another process has the data folder.
var ErrInUse = errors.New("data folder is in use")

// lockDir takes a data folder for this process, until the file is closed or the
// process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "journal.lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w by %s: %s", ErrInUse, holder(f), dir)
	} else if err != nil {
		err = fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	if err == nil {
		err = sign(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sign writes who holds the lock, for the message that others get.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("sign lock: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("sign lock: %w", err)
	}
	return nil
}

func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "pid " + pid
	}
	return "another process"
}

// A heldFile is a file as it was when it was opened.
type heldFile struct {
	path string
	info os.FileInfo
}

func hold(paths ...string) ([]heldFile, error) {
	held := make([]heldFile, len(paths))
	for i, p := range paths {
		fi, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("find file: %w", err)
		}
		held[i] = heldFile{path: p, info: fi}
	}
	return held, nil
}

// unmoved reports a file that is not where it was. SQLite would go on writing to
// what has no name any more.
func unmoved(held []heldFile) error {
	for _, h := range held {
		fi, err := os.Stat(h.path)
		if err != nil || !os.SameFile(fi, h.info) {
			return fmt.Errorf("%w: %s", ErrMoved, h.path)
		}
	}
	return nil
}
