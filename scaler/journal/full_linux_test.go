package journal

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestAFullDiskStopsStepsUntilThereIsRoom needs to be root, to mount a small disk.
func TestAFullDiskStopsStepsUntilThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("mount a small disk:", err)
	}
	t.Cleanup(func() { ok(t, syscall.Unmount(dir, 0)) })
	j := open(t, dir, Options{})
	ballast := filepath.Join(dir, "ballast")
	for i := range 3 {
		if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
			t.Fatal("the disk took more than it has room for")
		}
		s := grow("s1", "web", 4+i)
		for range 1000 {
			s.Names = append(s.Names, "a-name-that-takes-room")
		}
		tick := keep("web", epoch, 4+i)
		if _, err := j.Begin(s, &tick); err == nil {
			t.Fatal("begin on a full disk: no error")
		}
		if p, err := j.Pending(); err != nil || len(p) > 0 {
			t.Fatalf("a failed begin left %v, %v", p, err)
		}
		ok(t, os.Remove(ballast))
		seq, err := j.Begin(s, &tick)
		ok(t, err)
		if m, found, err := j.Memory("web"); err != nil || !found || m.Named != 4+i {
			t.Fatalf("memory %+v, %v, %v", m, found, err)
		}
		ok(t, j.End(seq, Outcome{OK: true}))
	}
}
