package source

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Git's names of contents, no secret
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// commit is the Git commit that is checked out where the folder is, shortened, if
// the named files of the folder are as Git's index has them; else "". Git itself
// need not be installed.
func commit(dir string, files []string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	top := abs
	for {
		if _, err := os.Stat(filepath.Join(top, ".git")); err == nil {
			break
		}
		up := filepath.Dir(top)
		if up == top {
			return ""
		}
		top = up
	}
	git := gitDir(top)
	below, err := filepath.Rel(top, abs)
	if err != nil || !indexed(git, abs, filepath.ToSlash(below), files) {
		return ""
	}
	head := resolve(git)
	if len(head) < 40 {
		return ""
	}
	return head[:12]
}

// gitDir is a work tree's Git folder: .git, or what that file points at.
func gitDir(top string) string {
	git := filepath.Join(top, ".git")
	b, err := os.ReadFile(git)
	if err != nil {
		return git
	}
	to := strings.TrimSpace(strings.TrimPrefix(string(b), "gitdir:"))
	if !filepath.IsAbs(to) {
		to = filepath.Join(top, to)
	}
	return to
}

// resolve reads HEAD, through a branch that is a file of its own or packed.
func resolve(git string) string {
	b, _ := os.ReadFile(filepath.Join(git, "HEAD")) // "" is no commit
	ref, branch := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: ")
	if !branch {
		return ref
	}
	common := git
	if b, err := os.ReadFile(filepath.Join(git, "commondir")); err == nil {
		common = filepath.Join(git, strings.TrimSpace(string(b)))
	}
	if b, err := os.ReadFile(filepath.Join(common, filepath.FromSlash(ref))); err == nil {
		return strings.TrimSpace(string(b))
	}
	b, _ = os.ReadFile(filepath.Join(common, "packed-refs")) // "" is no commit
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), " "+ref); ok {
			return name
		}
	}
	return ""
}

// indexed reports whether the files are in Git's index as they are on disk. An
// index of a kind that is not read here (its version 4) counts as a no.
func indexed(git, dir, below string, files []string) bool {
	index, err := os.ReadFile(filepath.Join(git, "index"))
	if err != nil || len(files) == 0 {
		return false
	}
	known := blobs(index)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f)))
		if err != nil {
			return false
		}
		h := sha1.New() //nolint:gosec // as above
		fmt.Fprintf(h, "blob %d\x00", len(b))
		h.Write(b)
		if name := filepath.ToSlash(filepath.Join(below, f)); known[name] != string(h.Sum(nil)) {
			return false
		}
	}
	return true
}

// blobs are the hashes of an index' files by path: entries of 62 bytes, two more
// if they are extended, the path, and NULs up to a multiple of 8.
func blobs(index []byte) map[string]string {
	out := map[string]string{}
	if len(index) < 12 || string(index[:4]) != "DIRC" || binary.BigEndian.Uint32(index[4:]) > 3 {
		return out
	}
	rest := index[12:]
	for range binary.BigEndian.Uint32(index[8:]) {
		if len(rest) < 64 {
			return out
		}
		start := 62
		if rest[60]&0x40 != 0 {
			start += 2
		}
		end := bytes.IndexByte(rest[start:], 0)
		if end < 0 || len(rest) < (start+end+8)/8*8 {
			return out
		}
		out[string(rest[start:start+end])] = string(rest[40:60])
		rest = rest[(start+end+8)/8*8:]
	}
	return out
}
