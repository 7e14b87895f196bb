package testservers

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// cached returns a folder of the user's cache that fill has filled, on this
// machine's first call. Processes that want it at the same time wait for the one
// that fills it; a fill that was interrupted is done again.
func cached(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	home, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache of %s: %w", name, err)
	}
	dir := filepath.Join(home, "flyball", "testservers", name)
	ready := filepath.Join(dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache of %s: %w", name, err)
	}
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return "", fmt.Errorf("lock the cache of %s: %w", name, err)
	}
	defer lock.Close()
	if _, err := os.Stat(ready); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := fill(ctx, dir); err != nil {
		return "", fmt.Errorf("fill the cache of %s: %w", name, err)
	}
	return dir, os.WriteFile(ready, nil, 0o644)
}

// lockFile waits until the file is this process's alone; closing it, or the
// death of the process, unlocks it.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// jars fetches what a pom.xml names, with all that it needs, into the folder lib.
func jars(ctx context.Context, pom, lib string) error {
	mvn, err := look("mvn", "maven")
	if err != nil {
		return err
	}
	// What an interrupted call left may be half a file.
	if err := os.RemoveAll(lib); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+lib)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &Missing{Program: filepath.Base(filepath.Dir(lib)), Reason: "Maven Central does not give it: " + firstLine(out, err)}
	}
	return nil
}

// writeFiles writes files of a server into dir, with values filled in.
func writeFiles(from embed.FS, dir string, names []string, values map[string]any) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	tmpl, err := template.New("").Option("missingkey=error").ParseFS(from, "*/*")
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	for _, name := range names {
		var text strings.Builder
		if err := tmpl.ExecuteTemplate(&text, name, values); err != nil {
			return fmt.Errorf("fill in %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
