package container

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// mark returns what this pool's members bear as their owner, and keeps it.
func (p *Pool) mark() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner != "" {
		return p.owner, nil
	}
	path := filepath.Join(p.dir, "owner")
	raw, err := os.ReadFile(path)
	kept := strings.TrimSpace(string(raw))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read the mark of the pool's members: %w", err)
	case err == nil && !ownerMark.MatchString(kept):
		return "", fmt.Errorf("read the mark of the pool's members: %s holds none: restore it, or write it as owner in the configuration", path)
	}
	owner := kept
	if p.cfg.Owner != "" {
		owner = p.cfg.Owner
	}
	if owner == "" {
		owner = originOf(p.dir)
	}
	if owner != kept {
		if err := p.writeFile("owner", []byte(owner+"\n")); err != nil {
			return "", fmt.Errorf("keep the mark of the pool's members: %w", err)
		}
	}
	p.owner = owner
	return owner, nil
}

// originOf makes a mark of a folder: the same for whoever uses the same path on
// the same machine. Where the machine has no id, as in many containers, it is like
// no other, for a name and a path are easily those of another Flyball, too.
func originOf(dir string) string {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil || len(machine) == 0 {
		machine = []byte(rand.Text())
	}
	sum := sha256.Sum256(append(machine, dir...))
	return hex.EncodeToString(sum[:8])
}

// isOurs reports whether a container is a member of this pool.
func isOurs(labels map[string]string, names []string, pool, owner string) bool {
	return labels[labelPool] == pool && labels[labelOwner] == owner && bears(names, labels[labelMember])
}

// bears reports whether a container is called so.
func bears(names []string, name string) bool {
	for _, n := range names {
		if strings.TrimPrefix(n, "/") == name && name != "" {
			return true
		}
	}
	return false
}

// warn tells of containers that bear the pool's name and are none of its members,
// each time that they are others than before.
func (p *Pool) warn(others []container.Summary) {
	var said []string
	for _, c := range others {
		said = append(said, fmt.Sprintf("%s (owner %s)", strings.TrimPrefix(strings.Join(c.Names, ","), "/"), c.Labels[labelOwner]))
	}
	now := strings.Join(said, ", ")
	p.mu.Lock()
	news := now != p.strangers
	p.strangers = now
	p.mu.Unlock()
	if news && now != "" {
		p.log.Warn("containers bear the pool's label and are left alone: another Flyball made them, or somebody renamed them",
			"containers", now, "owner", p.owner)
	}
}
