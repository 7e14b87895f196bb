package digitalocean

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// selfURL is where a Droplet learns its own number.
const selfURL = "http://169.254.169.254/metadata/v1/id"

// A question for the machine's metadata is bounded, and asked again as long as it is
// not known whether there are any: the network may come up later than this program.
const (
	selfTime       = 3 * time.Second
	leastSelfPause = 2 * time.Second // twice as long each time
	mostSelfPause  = time.Minute
)

// self is the Droplet that this program runs on. It is safe for concurrent use.
type self struct {
	next http.RoundTripper
	now  func() time.Time

	mu     sync.Mutex
	id     int           // 0: none, or not known yet
	known  bool          // or that it runs on none
	asking bool          // at this moment
	pause  time.Duration // after the last question
	again  time.Time     // when it is asked again
}

// selfOf returns what tells the number of the Droplet that this program runs on: 0 if
// it runs on none, or until it is known. It is asked for in the background, and only
// where it is DigitalOcean itself that has the Droplets.
func selfOf(a *account) func() int {
	if !a.real {
		return func() int { return 0 }
	}
	return newSelf(a.now).get
}

// newSelf returns one that asks this machine itself: a proxy has metadata of its own.
func newSelf(now func() time.Time) *self {
	return &self{next: &http.Transport{DisableKeepAlives: true}, now: now}
}

// get returns the number as far as it is known, and sees to it that it will be.
func (s *self) get() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known && !s.asking && !s.now().Before(s.again) {
		s.asking = true
		go s.ask()
	}
	return s.id
}

// ask asks once.
func (s *self) ask() {
	id, known := readSelf(s.next)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.known, s.asking = id, known, false
	s.pause = min(max(2*s.pause, leastSelfPause), mostSelfPause)
	s.again = s.now().Add(s.pause)
}

// readSelf asks the machine's metadata; 0 if there are none. It is false if that is
// not known: there was no answer, or none that makes sense.
func readSelf(next http.RoundTripper) (int, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), selfTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, selfURL, nil)
	if err != nil {
		return 0, false
	}
	res, err := next.RoundTrip(r)
	if err != nil {
		return 0, errors.Is(err, syscall.ECONNREFUSED) // there is a machine, and no metadata
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound { // another cloud's
		return 0, true
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64))
	id, bad := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || bad != nil || res.StatusCode != http.StatusOK || id < 1 {
		return 0, false
	}
	return id, true
}
