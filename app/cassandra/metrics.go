package cassandra

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/gocql/gocql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics tell of the statements that operations of the store are made of.
type metrics struct {
	statements *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	doubts     *prometheus.CounterVec
	swept      prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	m := &metrics{
		statements: f.NewCounterVec(prometheus.CounterOpts{
			Name: "store_statements_total",
			Help: "Statements sent to a node, repeated ones too, by outcome.",
		}, []string{"node", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "store_statement_duration_seconds",
			Help:    "Time until a node answered a statement, or was no longer waited for.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"node"}),
		doubts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "store_doubtful_writes_total",
			Help: "Writes whose answer was lost, by what was found out about them.",
		}, []string{"outcome"}),
		swept: f.NewCounter(prometheus.CounterOpts{
			Name: "store_swept_entries_total",
			Help: "Entries of the listing without a product that were removed: what a crash left behind.",
		}),
	}
	for _, outcome := range []string{"made", "not_made", "unknown"} {
		m.doubts.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) settled(outcome string) { m.doubts.WithLabelValues(outcome).Inc() }

// ObserveQuery hears of every statement's every try.
func (m *metrics) ObserveQuery(_ context.Context, q gocql.ObservedQuery) {
	node := net.JoinHostPort(q.Host.ConnectAddress().String(), strconv.Itoa(q.Host.Port()))
	m.statements.WithLabelValues(node, statementOutcome(q.Err)).Inc()
	m.duration.WithLabelValues(node).Observe(q.End.Sub(q.Start).Seconds())
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
