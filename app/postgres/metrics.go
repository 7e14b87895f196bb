package postgres

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics tell of the statements that operations of the store are made of, and of
// connections.
type metrics struct {
	statements *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	doubts     *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, pool *pgxpool.Pool) *metrics {
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
	}
	for _, outcome := range []string{"made", "not_made", "unknown"} {
		m.doubts.WithLabelValues(outcome)
	}
	for state, count := range map[string]func(*pgxpool.Stat) int32{
		"used": (*pgxpool.Stat).AcquiredConns, "idle": (*pgxpool.Stat).IdleConns, "connecting": (*pgxpool.Stat).ConstructingConns,
	} {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "store_connections", Help: "Connections to the database, by state.", ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(count(pool.Stat())) })
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "store_connections_max", Help: "Connections that there may be.",
	}, func() float64 { return float64(pool.Stat().MaxConns()) })
	return m
}

// settled counts a write that was in doubt, if it was.
func (m *metrics) settled(doubt error, outcome string) {
	if doubt != nil {
		m.doubts.WithLabelValues(outcome).Inc()
	}
}

// observe counts a statement's try.
func (m *metrics) observe(node string, err error, took time.Duration) {
	m.statements.WithLabelValues(node, statementOutcome(err)).Inc()
	m.duration.WithLabelValues(node).Observe(took.Seconds())
}

// statementOutcome names how a try ended.
func statementOutcome(err error) string {
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &answer):
		return refusal(answer.Code)
	case errors.Is(err, errReadOnly):
		return "read_only"
	case pgconn.Timeout(err):
		return "no_answer"
	case disconnected(err):
		return "connection"
	}
	return "abandoned" // nobody waits any more
}

func refusal(code string) string {
	switch code {
	case "25006":
		return "read_only"
	case "40001", "40P01", "55P03":
		return "contended"
	case "57014":
		return "timeout"
	case "57P01", "57P02", "57P03", "57P05":
		return "unavailable"
	case "53200", "53300", "53400":
		return "overloaded"
	case "42501":
		return "unauthorized"
	}
	return "refused"
}
