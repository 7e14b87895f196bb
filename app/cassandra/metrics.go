package cassandra

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/gocql/gocql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flyball/app/remote"
)

// metrics are those of every remote store, and those of the listing.
type metrics struct {
	*remote.Metrics
	swept prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		Metrics: remote.NewMetrics(r),
		swept: promauto.With(r).NewCounter(prometheus.CounterOpts{
			Name: "store_swept_entries_total",
			Help: "Entries of the listing without a product that were removed: what a crash left behind.",
		}),
	}
}

// ObserveQuery hears of every statement's every try.
func (m *metrics) ObserveQuery(_ context.Context, q gocql.ObservedQuery) {
	node := net.JoinHostPort(q.Host.ConnectAddress().String(), strconv.Itoa(q.Host.Port()))
	m.Observe(node, statementOutcome(q.Err), q.End.Sub(q.Start))
}

// statementOutcome names how a try ended.
func statementOutcome(err error) string {
	var answer gocql.RequestError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &answer):
		return refusal(answer.Code())
	case errors.Is(err, gocql.ErrTimeoutNoResponse):
		return "no_answer"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "abandoned" // another node was faster, or nobody waits any more
	}
	return "connection"
}

func refusal(code int) string {
	switch code {
	case gocql.ErrCodeUnavailable:
		return "unavailable"
	case gocql.ErrCodeOverloaded:
		return "overloaded"
	case gocql.ErrCodeReadTimeout, gocql.ErrCodeWriteTimeout, gocql.ErrCodeCASWriteUnknown:
		return "timeout"
	case gocql.ErrCodeUnauthorized:
		return "unauthorized"
	}
	return "refused"
}
