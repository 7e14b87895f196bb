package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Info asks the cluster what it is, and what time it has.
func (c *Cluster) Info(ctx context.Context) (Info, error) {
	asked := time.Now()
	body, header, err := c.do(ctx, http.MethodGet, "/", nil)
	answered := time.Now()
	if err != nil {
		return Info{}, err
	}
	i, err := parseInfo(body)
	if err != nil {
		return Info{}, err
	}
	if at, ok := dateOf(header); ok { // put on by a proxy: Elasticsearch itself does not
		i.Skew, i.Clocked = skew(at, asked, answered), true
		return i, nil
	}
	i.Skew, i.Clocked = c.askTime(ctx)
	return i, nil
}

// askTime asks a node for its time, which takes the privilege monitor, and says
// whether it told.
func (c *Cluster) askTime(ctx context.Context) (time.Duration, bool) {
	asked := time.Now()
	body, _, err := c.do(ctx, http.MethodGet, "/_nodes/_local/stats/os?filter_path=nodes.*.timestamp", nil)
	answered := time.Now()
	if err != nil {
		return 0, false
	}
	at, ok := parseTime(body)
	return skew(at, asked, answered), ok
}

// parseInfo reads the answer to GET /.
func parseInfo(body []byte) (Info, error) {
	var answer struct {
		Cluster string `json:"cluster_name"`
		Version struct {
			Number string `json:"number"`
		} `json:"version"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Info{}, fmt.Errorf("read what Elasticsearch says of itself: %w", err)
	}
	if answer.Version.Number == "" {
		return Info{}, errors.New("read what Elasticsearch says of itself: it names no version")
	}
	return Info{Name: answer.Cluster, Version: answer.Version.Number}, nil
}

// parseTime reads when one node's statistics were taken, in milliseconds since the
// epoch.
func parseTime(body []byte) (time.Time, bool) {
	var answer struct {
		Nodes map[string]struct {
			Timestamp int64 `json:"timestamp"`
		} `json:"nodes"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return time.Time{}, false
	}
	for _, n := range answer.Nodes {
		if n.Timestamp > 0 {
			return time.UnixMilli(n.Timestamp), true
		}
	}
	return time.Time{}, false
}

// dateOf reads the header Date. It has whole seconds, cut off, so half of one is
// put on.
func dateOf(h http.Header) (time.Time, bool) {
	at, err := http.ParseTime(h.Get("Date"))
	return at.Add(500 * time.Millisecond), err == nil
}

// skew is how far a clock is ahead of ours that told at some time between asked and
// answered.
func skew(at, asked, answered time.Time) time.Duration {
	return at.Sub(asked.Add(answered.Sub(asked) / 2))
}
