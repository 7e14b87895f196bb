package digitalocean

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// errNoToken means that there is no token to ask with.
var errNoToken = errors.New("there is no API token")

// token is read from its file, and anew when that changes. It is safe for concurrent use.
type token struct {
	path string

	mu      sync.Mutex
	text    string
	changed time.Time
	size    int64
}

// get returns the token; no error of it has any of it.
func (t *token) get() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	if err != nil {
		return "", fmt.Errorf("%w: read the token: %w", errNoToken, err)
	}
	if t.text != "" && info.ModTime().Equal(t.changed) && info.Size() == t.size {
		return t.text, nil
	}
	raw, err := os.ReadFile(t.path)
	if err != nil {
		return "", fmt.Errorf("%w: read the token: %w", errNoToken, err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return "", fmt.Errorf("%w: %s has to hold it alone", errNoToken, t.path)
	}
	t.text, t.changed, t.size = text, info.ModTime(), info.Size()
	return text, nil
}
