package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/features"
)

// What one query may cost. The API has Prometheus' defaults; a decision that
// takes longer than its interval is of no use.
const (
	apiQueries      = 20
	maxSamples      = 50_000_000
	apiTimeout      = 2 * time.Minute
	decisionTimeout = 10 * time.Second
	lookback        = 5 * time.Minute
)

// engines are the PromQL engines, one for each kind of asker.
type engines struct {
	api      *promql.Engine
	rules    *promql.Engine
	decision *promql.Engine
	ranges   *promql.Engine
	features features.Collector
	step     *atomic.Int64 // default step of subqueries, in milliseconds
}

// newEngines makes them. The API's keeps a list of running queries in dir,
// which tells after a crash what was being asked.
func newEngines(dir string, reg prometheus.Registerer, l *slog.Logger, p parser.Parser) (engines, error) {
	tracker, err := promql.NewActiveQueryTracker(dir, apiQueries, l.With("component", "query tracker"))
	if err != nil {
		return engines{}, fmt.Errorf("open list of running queries: %w", err)
	}
	e := engines{step: new(atomic.Int64), features: features.NewRegistry()}
	e.step.Store(time.Duration(promconfig.DefaultGlobalConfig.EvaluationInterval).Milliseconds())
	engine := func(name string, t promql.QueryTracker, timeout time.Duration) *promql.Engine {
		return promql.NewEngine(promql.EngineOpts{
			Logger:                   l.With("component", "promql", "engine", name),
			Reg:                      prometheus.WrapRegistererWith(prometheus.Labels{"engine": name}, reg),
			MaxSamples:               maxSamples,
			Timeout:                  timeout,
			ActiveQueryTracker:       t,
			LookbackDelta:            lookback,
			NoStepSubqueryIntervalFn: func(int64) int64 { return e.step.Load() },
			EnableAtModifier:         true,
			EnableNegativeOffset:     true,
			FeatureRegistry:          e.features,
			Parser:                   p,
		})
	}
	e.api = engine("api", tracker, apiTimeout)
	e.rules = engine("rules", newPlaces(apiQueries), apiTimeout)
	e.decision = engine("decisions", newPlaces(2*runtime.GOMAXPROCS(0)), decisionTimeout)
	e.ranges = engine("ranges", newPlaces(1), apiTimeout)
	return e, nil
}

func (e engines) apply(c *promconfig.Config) error {
	e.step.Store(time.Duration(c.GlobalConfig.EvaluationInterval).Milliseconds())
	if c.GlobalConfig.QueryLogFile == "" {
		e.api.SetQueryLogger(nil)
		return nil
	}
	l, err := queryLog(c.GlobalConfig.QueryLogFile)
	if err != nil {
		return err
	}
	e.api.SetQueryLogger(l)
	return nil
}

func (e engines) close() error {
	return errors.Join(e.api.Close(), e.rules.Close(), e.decision.Close(), e.ranges.Close())
}

// places bounds how many queries of an engine run at once. Whoever finds no
// place waits, as long as its context and the engine's timeout last.
type places chan struct{}

func newPlaces(n int) places { return make(places, n) }

// GetMaxConcurrent tells the number of places.
func (p places) GetMaxConcurrent() int { return cap(p) }

// Insert waits for a place.
func (p places) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case p <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// Delete gives a place back.
func (p places) Delete(int) { <-p }

// Close does nothing: there is nothing to keep.
func (places) Close() error { return nil }
