package elastic

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/setup"
	"flyball/rules"
)

// Plan is every request that makes the data streams of c where nothing is yet.
func Plan(c Config) []setup.Request { return setup.Plan(c.Streams, c.datasets()) }

// SetUp makes the data streams of c, or brings them up to date. What it did is in the
// report; log tells of requests that had to be sent again.
func SetUp(ctx context.Context, c Config, version string, log *slog.Logger) (setup.Report, error) {
	es, err := dial(c, version, log)
	if err != nil {
		return setup.Report{}, err
	}
	defer es.Close()
	return setup.Apply(ctx, es, c.Streams, c.datasets(), slog.New(slog.DiscardHandler))
}

// Check looks at the Elasticsearch of c, and at the dead letters in dir. It changes
// nothing.
func Check(ctx context.Context, c Config, dir, version string, at time.Time) ([]rules.Finding, error) {
	es, err := dial(c, version, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer es.Close()
	return append(setup.Check(ctx, es, c.Streams, c.datasets(), at), letters(dir, at)), nil
}

// letters is the finding of what Elasticsearch refused.
func letters(dir string, at time.Time) rules.Finding {
	f := rules.Finding{What: "dead letters"}
	all, err := cluster.DeadLetters(dir)
	switch {
	case err != nil:
		f.Text, f.Hint = err.Error(), "run it as the user that Flyball runs as"
	case all.Count == 0:
		f.OK, f.Text = true, "there are none"
	default:
		f.Text = fmt.Sprintf("%d in %s", all.Count, all.File)
		if !all.At.IsZero() {
			f.Text += fmt.Sprintf(", the newest %s ago, for %s: %s: %s", at.Sub(all.At).Round(time.Second), all.Stream, all.Refusal.Type, all.Refusal.Reason)
		}
		f.Hint = "Elasticsearch refused these documents for good: mend the mapping (of our data streams in the component template that ends in @custom), or leave what it refuses out (elasticsearch.ship); then remove the file"
	}
	return f
}

func dial(c Config, version string, log *slog.Logger) (*cluster.Cluster, error) {
	return cluster.New(c.Config, cluster.Options{Log: log, Agent: "flyball/" + version})
}
