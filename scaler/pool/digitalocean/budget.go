package digitalocean

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errSpent means that nothing was asked, for too much was asked before.
var errSpent = errors.New("the API's budget of calls is spent")

// A need is how much a request matters where calls are short.
type need int

const (
	toLook   need = iota // reads, of which the next will do as well
	toRemove             // what ends members, withdraws and admits them
	toGrow               // what makes members, and the reads that this takes
)

// The limits of one token: of an hour, as long as the API has not said another one,
// and of a minute.
const (
	hourLimit   = 5000
	minuteLimit = 250
)

// The share of the hour's calls that is kept for growth, and the part of that which
// removal may use, too.
const (
	reserveShare = 10 // a tenth
	removeShare  = 2  // half of it
)

// probePause is how far apart reads are in an hour whose calls are short: without
// any, nobody would learn that there are calls again.
const probePause = time.Minute

// budget is what may be asked of the API, as it tells itself in its answers and as
// the last minute is counted here. It is safe for concurrent use.
type budget struct {
	now func() time.Time

	mu        sync.Mutex
	limit     int // of an hour
	remaining int // of it, as the last answer said
	told      bool
	closed    time.Time   // nothing is asked until then
	lastRead  time.Time   // that was let through
	minute    []time.Time // of the requests of the last minute
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: now, limit: hourLimit, remaining: hourLimit}
}

// take lets a request through, or says why not and when it would be.
func (b *budget) take(n need) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for len(b.minute) > 0 && now.Sub(b.minute[0]) >= time.Minute {
		b.minute = b.minute[1:]
	}
	if now.Before(b.closed) {
		return fmt.Errorf("%w: the API wants to be left alone until %s", errSpent, b.closed.UTC().Format(time.TimeOnly))
	}
	if most := map[need]int{toLook: minuteLimit * 3 / 4, toRemove: minuteLimit * 9 / 10, toGrow: minuteLimit - 5}[n]; len(b.minute) >= most {
		return fmt.Errorf("%w: %d calls within a minute; more are left for what is more urgent", errSpent, len(b.minute))
	}
	reserve := b.limit / reserveShare
	if floor := map[need]int{toLook: reserve, toRemove: reserve / removeShare, toGrow: 0}[n]; b.remaining <= floor && (n != toLook || now.Sub(b.lastRead) < probePause) {
		return fmt.Errorf("%w: %d of %d calls are left this hour; they are kept for what is more urgent", errSpent, b.remaining, b.limit)
	}
	if n == toLook {
		b.lastRead = now
	}
	b.minute = append(b.minute, now)
	b.remaining = max(0, b.remaining-1)
	return nil
}

// learn takes over what an answer says of the budget.
func (b *budget) learn(res *http.Response) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if n, err := strconv.Atoi(res.Header.Get("RateLimit-Limit")); err == nil && n > 0 {
		b.limit = n
	}
	// A burst that was too much may say 0 of the minute: it is not the hour's.
	if n, err := strconv.Atoi(res.Header.Get("RateLimit-Remaining")); err == nil && res.StatusCode != http.StatusTooManyRequests {
		b.remaining, b.told = n, true
	}
	if res.StatusCode == http.StatusTooManyRequests {
		b.closed = now.Add(wait(res.Header, now))
	}
}

// wait is how long the API is left alone after it said that it was too much: as long
// as it says; else until its reset, and no longer than a minute, for the hour slides.
func wait(h http.Header, now time.Time) time.Duration {
	after := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.Atoi(after); err == nil && s >= 0 {
		return min(max(time.Duration(s)*time.Second, time.Second), time.Hour)
	}
	if at, err := http.ParseTime(after); err == nil {
		return min(max(at.Sub(now), time.Second), time.Hour)
	}
	reset, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64)
	if err != nil {
		return time.Minute
	}
	return min(max(time.Unix(reset, 0).Sub(now), time.Second), time.Minute)
}

// The age at which the list of all Droplets is read anew: at rest, and while
// something is under way in a pool that looks.
const (
	restAge = 15 * time.Second
	busyAge = time.Second
)

// age is how old the list may be, of so many pages: the more pages and the fewer
// calls are left, the older. It stays below a minute. At rest it takes no more than
// two fifths of an hour's calls, while something is under way four fifths.
func (b *budget) age(pages int, busy bool) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	least, share := restAge, 0.4
	if busy {
		least, share = busyAge, 0.8
	}
	age := max(least, time.Duration(float64(pages)*float64(time.Hour)/(share*float64(b.limit))))
	reserve := b.limit / reserveShare
	if left := float64(b.remaining-reserve) / float64(b.limit-reserve); b.told && left < 0.5 {
		age = time.Duration(float64(age) / max(2*left, 0.01))
	}
	return min(age, time.Minute)
}

// left is what remains of the hour's calls.
func (b *budget) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.remaining
}
