package testservers

import (
	"fmt"
	"os/exec"
	"strings"
)

// Missing says that a server cannot be started because a program is not
// installed here.
type Missing struct {
	Program string // e.g. haproxy
	Package string // Debian's package that brings it
	Reason  string // why it does not work, if it is there
}

// Error says what to install.
func (m *Missing) Error() string {
	if m.Reason != "" {
		return fmt.Sprintf("%s does not work here: %s", m.Program, m.Reason)
	}
	return fmt.Sprintf("%s is not installed: apt-get install %s", m.Program, m.Package)
}

// look returns the path of a program.
func look(name, pkg string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &Missing{Program: name, Package: pkg}
	}
	return path, nil
}

// firstLine returns the first line of a program's complaint.
func firstLine(out []byte, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return fmt.Sprintf("%s (%v)", line, err)
}
