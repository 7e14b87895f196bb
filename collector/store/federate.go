package store

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// federation answers with the newest sample of every series that one of the
// `match[]` selectors matches, with its own time, as a Prometheus' /federate does.
// Native histograms, which have no form in the text formats, are left out.
func (s *Store) federation(config func() *promconfig.Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "The form cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		sets, err := s.parser.ParseMetricSelectors(r.Form["match[]"])
		if err != nil {
			http.Error(w, "match[] is no selector: "+err.Error(), http.StatusBadRequest)
			return
		}
		newest, err := s.newest(r.Context(), sets, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		format := expfmt.Negotiate(r.Header)
		w.Header().Set("Content-Type", string(format))
		if err := encode(w, format, newest, config().GlobalConfig.ExternalLabels); err != nil {
			s.logger.Debug("federation ended early", "err", err)
		}
	})
}

// A latest is the newest sample of a series.
type latest struct {
	labels labels.Labels
	t      int64
	v      float64
}

// newest reads the newest samples within the look-back, sorted by metric name.
func (s *Store) newest(ctx context.Context, sets [][]*labels.Matcher, now time.Time) ([]latest, error) {
	mint, maxt := now.Add(-lookback).UnixMilli(), now.UnixMilli()
	q, err := s.everything().Querier(mint, maxt)
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	defer q.Close()
	hints := &storage.SelectHints{Start: mint, End: maxt}
	var found []storage.SeriesSet
	for _, ms := range sets {
		found = append(found, q.Select(ctx, true, hints, ms...))
	}
	set := storage.NewMergeSeriesSet(found, 0, storage.ChainedSeriesMerge)
	var out []latest
	var it chunkenc.Iterator
	for set.Next() {
		series := set.At()
		it = series.Iterator(it)
		l := latest{labels: series.Labels(), t: math.MinInt64}
		for v := it.Next(); v != chunkenc.ValNone; v = it.Next() {
			if v == chunkenc.ValFloat {
				l.t, l.v = it.At()
			}
		}
		if l.t > math.MinInt64 && !value.IsStaleNaN(l.v) {
			out = append(out, l)
		}
	}
	if err := set.Err(); err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	slices.SortStableFunc(out, func(a, b latest) int {
		return strings.Compare(a.labels.Get(model.MetricNameLabel), b.labels.Get(model.MetricNameLabel))
	})
	return out, nil
}

// encode writes samples of one name as one family. External labels are added
// where a series does not have them.
func encode(w io.Writer, format expfmt.Format, in []latest, external labels.Labels) error {
	enc := expfmt.NewEncoder(w, format)
	for len(in) > 0 {
		name := in[0].labels.Get(model.MetricNameLabel)
		n := slices.IndexFunc(in, func(l latest) bool { return l.labels.Get(model.MetricNameLabel) != name })
		if n < 0 {
			n = len(in)
		}
		family := &dto.MetricFamily{Name: &name, Type: dto.MetricType_UNTYPED.Enum()}
		for _, l := range in[:n] {
			family.Metric = append(family.Metric, untyped(l, external))
		}
		in = in[n:]
		if name == "" {
			continue // a recorded series may lack a name; it cannot be exposed
		}
		if err := enc.Encode(family); err != nil {
			return fmt.Errorf("write family %s: %w", name, err)
		}
	}
	if c, ok := enc.(expfmt.Closer); ok {
		return c.Close()
	}
	return nil
}

func untyped(l latest, external labels.Labels) *dto.Metric {
	lb := labels.NewBuilder(external)
	m := &dto.Metric{TimestampMs: &l.t, Untyped: &dto.Untyped{Value: &l.v}}
	l.labels.Range(func(own labels.Label) {
		if own.Name != model.MetricNameLabel {
			lb.Set(own.Name, own.Value)
		}
	})
	all := lb.Labels()
	all.Range(func(p labels.Label) {
		name, val := p.Name, p.Value
		m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &val})
	})
	if !all.Has(model.InstanceLabel) {
		// An empty instance keeps the reader from giving the series its own.
		name, val := model.InstanceLabel, ""
		m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &val})
	}
	return m
}
