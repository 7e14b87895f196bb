package process

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	largestOutput = 16 << 20 // of a member's file, before it starts anew
	keptOutput    = 1 << 20  // the end of it, which is kept beside
	keptFiles     = 20       // files of members that are no more
)

// newOutput opens a new member's output; that of an earlier one of its name is
// kept beside it.
func newOutput(path string) (*os.File, error) {
	if s, err := os.Stat(path); err == nil && s.Size() > 0 {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	// Appending, so that what follows a truncation starts at the beginning.
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// boundOutput cuts a file that grew too large and keeps its end beside it.
// Failures show in nothing but the file's size: output is no reason not to look.
func boundOutput(path string) {
	s, err := os.Stat(path)
	if err != nil || s.Size() <= largestOutput {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	end := make([]byte, keptOutput)
	n, err := f.ReadAt(end, s.Size()-keptOutput)
	if err != nil && err != io.EOF {
		return
	}
	if os.WriteFile(path+".1", end[:n], 0o600) == nil {
		_ = os.Truncate(path, 0) // tried again at the next look
	}
}

// pruneOutputs removes the oldest files of members that are no more.
func (p *Pool) pruneOutputs() {
	type old struct {
		path string
		at   int64
	}
	var olds []old
	paths, err := filepath.Glob(filepath.Join(escapeGlob(p.dir), "[A-Za-z0-9]*.log"))
	if err != nil {
		return
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		s, err := os.Stat(path)
		if _, kept := os.Stat(p.path(name)); err != nil || kept == nil || !memberName.MatchString(name) {
			continue
		}
		olds = append(olds, old{path, s.ModTime().UnixNano()})
	}
	slices.SortFunc(olds, func(a, b old) int { return cmp.Compare(b.at, a.at) })
	for _, o := range olds[min(keptFiles, len(olds)):] {
		_ = os.Remove(o.path)        // tried again at the next end
		_ = os.Remove(o.path + ".1") // is mostly not there
	}
}
