package emulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// mostBody is how much of a request's body is read, in bytes; a longer one is refused.
const mostBody = 1 << 20

// mostLog is how many requests are remembered; when there are more, the older half
// is forgotten.
const mostLog = 100_000

// errLost is what a client sees of a connection that broke.
var errLost = errors.New("connection reset by the emulator")

// A service is one cloud's API and its ways. The world is held while any of it is
// called.
type service struct {
	api     http.Handler
	settle  func()                                // what is due by World.at happens
	accepts func(token string) bool               // whether a bearer token is one of ours
	count   func(a *answer, r *http.Request) bool // counts a request against the limits; false: it was refused
	refuse  func(a *answer, status int)           // says that nothing was done: 400, 401, 429, 500, 503
}

// add makes a service one of the world's.
func (w *World) add(s *service) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.services = append(w.services, s)
}

// An answer is what a client gets, written whole before it is given.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}} }

// Header, WriteHeader and Write make it a [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// serve answers a request as every one is answered: logged, let through the faults,
// asked for its token, counted, done. An error is a connection that broke, or the
// request's context that ended.
func (w *World) serve(s *service, r *http.Request) (*answer, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	w.hold()
	q := w.note(r)
	a, late, err := w.do(s, r, body, q)
	w.mu.Unlock()
	if err == nil && late > 0 {
		err = wait(r.Context(), late)
	}
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	q.Status = a.status
	if r.Method != http.MethodGet && a.status >= 400 && q.Fault == "" {
		w.tell("%s is refused with %d", subject(r), a.status)
	}
	return a, nil
}

// do does what is asked, or what the faults make of it. It returns how late the
// answer is to be given. The world is held.
func (w *World) do(s *service, r *http.Request, body []byte, q *Request) (*answer, time.Duration, error) {
	a, on := newAnswer(), subject(r)
	befallen := func(name string) bool {
		if !w.befalls(name, on) {
			return false
		}
		q.Fault = name
		return true
	}
	if befallen("lost_before") {
		return nil, 0, errLost
	}
	if status := w.stop(s, r, body, befallen); status != 0 {
		s.refuse(a, status)
		return a, 0, nil
	}
	if !s.count(a, r) {
		return a, 0, nil
	}
	act(s, r, body, a)
	if befallen("duplicate") {
		a.status = 0
		a.body.Reset()
		act(s, r, body, a)
	}
	if befallen("lost_after") {
		return nil, 0, errLost
	}
	if befallen("slow") {
		return a, 10 * time.Second, nil
	}
	return a, 0, nil
}

// stop is the status by which a request is refused before anything is done, or 0.
func (w *World) stop(s *service, r *http.Request, body []byte, befallen func(string) bool) int {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case befallen("error_500"):
		return http.StatusInternalServerError
	case befallen("error_503"):
		return http.StatusServiceUnavailable
	case !isBearer || token == "" || !s.accepts(token):
		return http.StatusUnauthorized
	case befallen("too_many"):
		return http.StatusTooManyRequests
	case len(body) > mostBody:
		return http.StatusBadRequest
	}
	return 0
}

// act has the API do what is asked, with a body that can be read anew.
func act(s *service, r *http.Request, body []byte, a *answer) {
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	s.api.ServeHTTP(a, again)
	a.WriteHeader(http.StatusOK)
}

// subject is what a request is called where faults are planted.
func subject(r *http.Request) string { return r.Method + " " + r.URL.RequestURI() }

// readBody reads as much as may be, and one byte more.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the body of %s: %w", subject(r), err)
	}
	return body, nil
}

// wait waits for d of the clock that timers have, which a bubble simulates.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// note remembers a request. The world is held.
func (w *World) note(r *http.Request) *Request {
	u := *r.URL
	if u.Host == "" {
		u.Host = r.Host
	}
	if len(w.log) >= mostLog {
		w.log = append([]*Request(nil), w.log[mostLog/2:]...)
	}
	q := &Request{At: w.at, Method: r.Method, URL: u.String()}
	w.log = append(w.log, q)
	return q
}

// Requests are those that were asked, oldest first: the newest 50,000 at least.
func (w *World) Requests() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Request, 0, len(w.log))
	for _, q := range w.log {
		out = append(out, *q)
	}
	return out
}
