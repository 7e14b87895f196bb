package digitalocean

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// A read is tried so often, about so far apart. What makes, changes or ends anything
// is never repeated here: whoever asked looks first what came of it.
const (
	readTries = 3
	readPause = 300 * time.Millisecond
)

// gate lets requests through to the API: within the budget, with the token, counted
// and logged. It is an [http.RoundTripper], safe for concurrent use.
type gate struct {
	next    http.RoundTripper
	token   *token
	budget  *budget
	metrics *Metrics
	account string
	log     *slog.Logger
	now     func() time.Time
	reads   bool // it is that of reads, which are repeated and yield to others
}

// RoundTrip implements [http.RoundTripper].
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	for try := 1; ; try++ {
		res, err := g.ask(r)
		if !g.reads || try == readTries || !passes(res, err) {
			return res, err
		}
		if res != nil {
			_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
			_ = res.Body.Close()
		}
		if err := pause(r.Context(), time.Duration(try)*readPause+rand.N(readPause)); err != nil {
			return nil, err
		}
	}
}

// passes reports whether a failure may pass by itself within a second.
func passes(res *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, errSpent) && !errors.Is(err, errNoToken) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	return res.StatusCode >= 500
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask asks once.
func (g *gate) ask(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	token, err := g.token.get()
	if err != nil {
		return nil, err
	}
	if err := g.budget.take(g.needOf(r)); err != nil {
		g.metrics.call(g.account, r, "refused")
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	began := g.now()
	res, err := g.next.RoundTrip(r)
	outcome, status := "lost", 0
	if err == nil {
		g.budget.learn(res)
		outcome, status = outcomeOf(res.StatusCode), res.StatusCode
	}
	g.metrics.call(g.account, r, outcome)
	g.metrics.remaining.WithLabelValues(g.account).Set(float64(g.budget.left()))
	g.log.Debug("asked DigitalOcean", "method", r.Method, "path", r.URL.Path, "query", r.URL.RawQuery,
		"status", status, "took", g.now().Sub(began), "left", g.budget.left())
	return res, err
}

// needOf is how much a request matters.
func (g *gate) needOf(r *http.Request) need {
	switch {
	case g.reads:
		return toLook
	case r.Method == http.MethodDelete, strings.HasSuffix(r.URL.Path, "/actions"), strings.HasPrefix(r.URL.Path, "/v2/tags/"):
		return toRemove
	default:
		return toGrow
	}
}

// outcomeOf is the label of an answer.
func outcomeOf(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "too_many"
	case status >= 500:
		return "failed"
	case status >= 400:
		return "rejected"
	default:
		return "ok"
	}
}
