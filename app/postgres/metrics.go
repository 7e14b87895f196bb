package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flyball/app/remote"
)

// newMetrics are those of every remote store, and those of connections.
func newMetrics(r prometheus.Registerer, pool *pgxpool.Pool) *remote.Metrics {
	f := promauto.With(r)
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
	return remote.NewMetrics(r)
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
