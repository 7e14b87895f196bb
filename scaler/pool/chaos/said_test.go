package chaos

import (
	"bytes"
	"strings"
	"sync"
)

// mostSaid is how many of the last lines of the log are kept.
const mostSaid = 80

// said is what Flyball said last. A run is made by its seed but for the order in which
// goroutines run and the pauses that are drawn between tries, so a failed run has to
// show by itself what happened.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) >= 2*mostSaid {
		s.lines = append([]string(nil), s.lines[mostSaid:]...)
	}
	s.lines = append(s.lines, string(bytes.TrimSpace(p)))
	return len(p), nil
}

func (s *said) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines[max(0, len(s.lines)-mostSaid):], "\n")
}
