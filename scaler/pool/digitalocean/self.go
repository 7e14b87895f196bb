package digitalocean

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// selfURL is where a Droplet learns its own number.
const selfURL = "http://169.254.169.254/metadata/v1/id"

// selfOf returns what tells the number of the Droplet that this program runs on: 0 if
// it runs on none, or until it is known. It is asked for once, in the background, and
// only where it is DigitalOcean itself that has the Droplets.
func selfOf(a *account) func() int {
	if !a.real {
		return func() int { return 0 }
	}
	var once sync.Once
	var id atomic.Int64
	return func() int {
		once.Do(func() { go func() { id.Store(int64(readSelf(http.DefaultTransport))) }() })
		return int(id.Load())
	}
}

// readSelf asks the machine's metadata; 0 if there are none.
func readSelf(next http.RoundTripper) int {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, selfURL, nil)
	if err != nil {
		return 0
	}
	res, err := next.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64))
	id, bad := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || bad != nil || res.StatusCode != http.StatusOK || id < 1 {
		return 0
	}
	return id
}
