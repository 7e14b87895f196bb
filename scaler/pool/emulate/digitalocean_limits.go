package emulate

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// windows are the limits of one token.
type windows struct{ hour, minute, keys window }

// count holds a request against its token's limits and says in the headers what is
// left of the hour's. Only a burst, of a minute, is answered with the time to wait; of
// an hour that is spent, ratelimit-reset says when its oldest request counts no more.
//
// Assumed: a request that is refused counts for nothing.
func (d *DigitalOcean) count(a *answer, r *http.Request) bool {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	l := d.windows[token]
	if l == nil {
		l = &windows{
			hour:   window{most: d.o.HourLimit, per: time.Hour},
			minute: window{most: d.o.MinuteLimit, per: time.Minute},
			keys:   window{most: d.o.KeysPerMinute, per: time.Minute},
		}
		d.windows[token] = l
	}
	now := d.w.at
	asksKeys := r.Method == http.MethodGet && r.URL.Path == "/v2/account/keys"
	switch {
	case l.hour.left(now) <= 0:
		d.tooMany(a, 0, l.hour.next(now), 0)
		return false
	case l.minute.left(now) <= 0:
		d.tooMany(a, 0, l.minute.next(now), l.minute.next(now).Sub(now))
		return false
	case asksKeys && l.keys.left(now) <= 0:
		d.tooMany(a, 0, l.keys.next(now), l.keys.next(now).Sub(now))
		return false
	}
	l.hour.take(now)
	l.minute.take(now)
	if asksKeys {
		l.keys.take(now)
	}
	d.rate(a, l.hour.left(now), l.hour.next(now))
	return true
}

// rate sets the headers that every answer has.
func (d *DigitalOcean) rate(a *answer, left int, reset time.Time) {
	a.header.Set("ratelimit-limit", strconv.Itoa(d.o.HourLimit))
	a.header.Set("ratelimit-remaining", strconv.Itoa(left))
	a.header.Set("ratelimit-reset", strconv.FormatInt(reset.Unix(), 10))
}

// tooMany refuses a request; wait 0 is not said.
func (d *DigitalOcean) tooMany(a *answer, left int, reset time.Time, wait time.Duration) {
	d.rate(a, left, reset)
	if wait > 0 {
		a.header.Set("retry-after", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	d.fail(a, http.StatusTooManyRequests, "Too many requests")
}

// refuse says that nothing was done.
func (d *DigitalOcean) refuse(a *answer, status int) {
	switch status {
	case http.StatusTooManyRequests:
		d.tooMany(a, 0, d.w.at.Add(30*time.Second), 30*time.Second)
	case http.StatusUnauthorized:
		d.fail(a, status, "Unable to authenticate you")
	case http.StatusServiceUnavailable:
		d.fail(a, status, "Service is temporarily unavailable, please try again later.")
	case http.StatusBadRequest:
		d.fail(a, status, "The request is too large.")
	default:
		d.fail(a, status, "Server was unable to give you a response.")
	}
}
