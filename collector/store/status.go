package store

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// upstream is the version of Prometheus that is embedded. Grafana and others
// turn features on by it, so the API calls itself by this version.
const upstream = "3.14.0"

func buildInfo(revision string) *apiv1.PrometheusVersion {
	return &apiv1.PrometheusVersion{
		Version:   upstream,
		Revision:  revision,
		Branch:    "flyball",
		GoVersion: runtime.Version(),
	}
}

func (s *Store) runtimeInfo(g prometheus.Gatherer) (apiv1.RuntimeInfo, error) {
	host, err := os.Hostname()
	if err != nil {
		return apiv1.RuntimeInfo{}, fmt.Errorf("read host name: %w", err)
	}
	families, err := g.Gather()
	if err != nil {
		return apiv1.RuntimeInfo{}, fmt.Errorf("gather own metrics: %w", err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return apiv1.RuntimeInfo{}, fmt.Errorf("read working directory: %w", err)
	}
	info := apiv1.RuntimeInfo{
		StartTime:           s.born,
		CWD:                 dir,
		Hostname:            host,
		ServerTime:          time.Now().UTC(),
		ReloadConfigSuccess: true,
		LastConfigTime:      s.born,
		GoroutineCount:      runtime.NumGoroutine(),
		GOMAXPROCS:          runtime.GOMAXPROCS(0),
		GOMEMLIMIT:          debug.SetMemoryLimit(-1),
		GOGC:                os.Getenv("GOGC"),
		GODEBUG:             os.Getenv("GODEBUG"),
		StorageRetention:    describe(*s.retained.Load()),
	}
	for _, f := range families {
		switch f.GetName() {
		case "prometheus_tsdb_wal_corruptions_total":
			info.CorruptionCount = int64(number(f))
		case "prometheus_config_last_reload_successful":
			info.ReloadConfigSuccess = number(f) != 0
		case "prometheus_config_last_reload_success_timestamp_seconds":
			info.LastConfigTime = time.Unix(int64(number(f)), 0).UTC()
		}
	}
	return info, nil
}

func number(f *dto.MetricFamily) float64 {
	if len(f.GetMetric()) == 0 {
		return 0
	}
	m := f.GetMetric()[0]
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// describe writes a retention as Prometheus does: "15d or 10GiB".
func describe(r promconfig.TSDBRetentionConfig) string {
	var parts []string
	if r.Time != 0 {
		parts = append(parts, model.Duration(r.Time).String())
	}
	if r.Size != 0 {
		parts = append(parts, r.Size.String())
	}
	if r.Percentage != 0 {
		parts = append(parts, strconv.FormatFloat(r.Percentage, 'g', -1, 64)+"%")
	}
	return strings.Join(parts, " or ")
}

// statistics tells the API of the own database, and administers nothing.
type statistics struct{ s *Store }

// Stats counts the series in memory.
func (t statistics) Stats(label string, limit int) (*tsdb.Stats, error) {
	return t.s.db.Head().Stats(label, limit), nil
}

// BlockMetas lists the blocks on disk.
func (t statistics) BlockMetas() ([]tsdb.BlockMeta, error) { return t.s.db.BlockMetas(), nil }

// WALReplayStatus tells how far reading the log is: done, or there would be no store.
func (statistics) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }

// CleanTombstones is refused.
func (statistics) CleanTombstones() error { return errNoAdministration }

// Delete is refused.
func (statistics) Delete(context.Context, int64, int64, ...*labels.Matcher) error {
	return errNoAdministration
}

// Snapshot is refused.
func (statistics) Snapshot(string, bool) error { return errNoAdministration }
