package cluster

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// A pace says how long is waited before something is sent again.
type pace struct {
	least, most time.Duration
	slow        time.Duration // least, where somebody must mend something first
	asked       time.Duration // most that is waited because the server asks for it
}

func usualPace() pace {
	return pace{least: 100 * time.Millisecond, most: 30 * time.Second, slow: 5 * time.Second, asked: 5 * time.Minute}
}

// A backoff grows from wait to wait, decorrelated and with jitter: each wait is
// between the least and three times the one before, and at most the most. (Marc
// Brooker, "Exponential Backoff And Jitter".)
type backoff struct {
	pace pace
	last time.Duration
}

// next returns how long to wait. after is what the server asked for, 0 if nothing.
func (b *backoff) next(slow bool, after time.Duration, rnd func(n int64) int64) time.Duration {
	least := b.pace.least
	if slow {
		least = b.pace.slow
	}
	upper := max(3*b.last, 2*least)
	b.last = min(least+time.Duration(rnd(int64(upper-least))), b.pace.most)
	return max(b.last, min(after, b.pace.asked))
}

// reset begins anew, after something went through.
func (b *backoff) reset() { b.last = 0 }

// dice are those that next rolls.
func dice(n int64) int64 { return rand.Int64N(n) }

// retryAfter reads the header Retry-After, seconds or a date (RFC 9110, 10.2.3);
// 0 if there is none, or none that can be read, or one that has passed.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}
