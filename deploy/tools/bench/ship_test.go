package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
	"flyball/deploy/tools/bench/targets"
)

// document is one value as the collector writes it, with the time and the labels.
func document(at time.Time, labels, name string) string {
	return fmt.Sprintf(`{"create":{"dynamic_templates":{"metrics.%[3]s":"gauge_double"}}}
{"@timestamp":%[1]d,"attributes":{"labels":%[2]q},"metrics":{%[3]q:1.5}}
`, at.UnixMilli(), labels, name)
}

// index sends documents, as a sender does that believes all went well.
func index(ctx context.Context, s search, stream, documents string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/"+stream+"/_bulk", strings.NewReader(documents))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", res.Status)
	}
	_ = res.Body.Close()
	return err
}

func TestValuesAreCountedAsTheIndexHoldsThem(t *testing.T) {
	s := search{testservers.SharedElasticsearch(t).URL()}
	at := time.Now().Truncate(time.Second)
	var sent strings.Builder
	sent.WriteString(document(at, "a", targets.Prefix+"000"))
	sent.WriteString(document(at, "a", targets.Prefix+"001")) // of the same labels and time
	sent.WriteString(document(at, "b", targets.Prefix+"001"))
	sent.WriteString(document(at.Add(time.Second), "a", targets.Prefix+"000"))
	sent.WriteString(document(at, "c", "up"))
	for _, tt := range []struct {
		mode              mode
		early, late, docs float64
	}{
		{mode{mapping: "otel"}, 3, 4, 5},
		{mode{mapping: "otel", timeSeries: true}, 2, 3, 4},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			c := collector("c", s.url, "counted_"+tt.mode.String()[5:], tt.mode)
			if err := s.do(t.Context(), http.MethodPut, "/_index_template/"+c.stream, c.template, nil); err != nil {
				t.Fatal(err)
			}
			if err := index(t.Context(), s, c.stream, sent.String()); err != nil {
				t.Fatal(err)
			}
			for to, want := range map[time.Duration]float64{time.Second: tt.early, 2 * time.Second: tt.late} {
				if got, err := s.values(t.Context(), c.stream, at, at.Add(to)); err != nil || got != want {
					t.Errorf("in %s there are %v values, %v; want %v", to, got, err, want)
				}
			}
			size, docs, err := s.merge(t.Context(), c.stream)
			if err != nil || docs != tt.docs || size < 1000 {
				t.Errorf("merged there are %v documents in %v bytes, %v; want %v", docs, size, err, tt.docs)
			}
		})
	}
	if cpu, err := s.cpu(t.Context()); err != nil || cpu < 1 {
		t.Errorf("Elasticsearch used %v s, %v", cpu, err)
	}
}

// feed scrapes the targets until ctx ends, and ships to each stream every n-th value.
func feed(ctx context.Context, farm *targets.Farm, s search, every map[string]int) error {
	for ctx.Err() == nil {
		bodies := map[string]string{}
		at := time.Now()
		for _, addr := range farm.Addrs() {
			res, err := http.Get("http://" + addr + "/metrics")
			if err != nil {
				return err
			}
			lines := bufio.NewScanner(res.Body)
			for i := 1; lines.Scan(); {
				name, _, ok := strings.Cut(lines.Text(), "{")
				if !ok {
					continue
				}
				for stream, n := range every {
					if i%n == 0 {
						bodies[stream] += document(at, fmt.Sprint(addr, i), name)
					}
				}
				i++
			}
			_ = res.Body.Close()
		}
		for stream, documents := range bodies {
			if err := index(context.WithoutCancel(ctx), s, stream, documents); err != nil {
				return err
			}
		}
	}
	return nil
}

// fed is a shipper that does nothing, as the test ships for it.
func fed(t *testing.T, s search, namespace string) shipper {
	t.Helper()
	c := collector("", s.url, namespace, mode{mapping: "otel"})
	c.peer = fakePeer(t, "serves")
	if err := s.do(t.Context(), http.MethodPut, "/_index_template/"+c.stream, c.template, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAShipperThatLosesValuesIsRefusedOrSaidToLoseThem(t *testing.T) {
	s := search{testservers.SharedElasticsearch(t).URL()}
	for _, tt := range []struct {
		name         string
		ours, theirs int // every n-th value is shipped
		fault, line  string
	}{
		{"both_ship_all", 1, 1, "", "BenchmarkShipRatio/shared/fake-to-fake"},
		{"theirs_loses_half", 1, 2, "", "BenchmarkShipLost/shared/fake\t1\t"},
		{"ours_loses_half", 2, 1, " % less than was served", ""},
		{"ours_ships_nothing", 1000, 1, "nothing is in", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := fed(t, s, tt.name+"_1"), fed(t, s, tt.name+"_2")
			var out bytes.Buffer
			err := serve(t.Context(), 1, 40, targets.Shared, func(ctx context.Context, farm *targets.Farm) error {
				b := shipBench{
					farm: farm, layout: targets.Shared, search: s, dir: t.TempDir(), out: &out, lag: 2 * time.Second, slack: 0.3,
					plan: plan{interval: time.Second, warmup: 100 * time.Millisecond, window: 2 * time.Second},
				}
				ctx, stop := context.WithCancel(ctx)
				done := make(chan error, 1)
				go func() { done <- feed(ctx, farm, s, map[string]int{ours.stream: tt.ours, theirs.stream: tt.theirs}) }()
				err := b.compare(ctx, ours, ours.peer, []shipper{theirs})
				stop()
				return errors.Join(err, <-done)
			})
			if tt.fault == "" && err != nil || tt.fault != "" && (err == nil || !strings.Contains(err.Error(), tt.fault)) {
				t.Errorf("got %v, want %q", err, tt.fault)
			}
			if !strings.Contains(out.String(), tt.line) {
				t.Errorf("it says\n%swant %q", &out, tt.line)
			}
		})
	}
}
