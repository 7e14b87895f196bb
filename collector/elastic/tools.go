package elastic

import (
	"context"
	"log/slog"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/setup"
)

// Plan is every request that makes the data streams of c where nothing is yet.
func Plan(c Config) []setup.Request { return setup.Plan(c.Streams, c.datasets()) }

// SetUp makes the data streams of c, or brings them up to date.
func SetUp(ctx context.Context, c Config, version string, log *slog.Logger) (setup.Report, error) {
	es, err := dial(c, version, log)
	if err != nil {
		return setup.Report{}, err
	}
	defer es.Close()
	return setup.Apply(ctx, es, c.Streams, c.datasets(), log)
}

// Check looks at the Elasticsearch of c, and changes nothing.
func Check(ctx context.Context, c Config, version string, at time.Time) ([]setup.Finding, error) {
	es, err := dial(c, version, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer es.Close()
	return setup.Check(ctx, es, c.Streams, c.datasets(), at), nil
}

func dial(c Config, version string, log *slog.Logger) (*cluster.Cluster, error) {
	return cluster.New(c.Config, cluster.Options{Log: log, Agent: "flyball/" + version})
}
