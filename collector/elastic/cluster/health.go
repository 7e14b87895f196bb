package cluster

import (
	"sync"
	"time"
)

// Status is how a Cluster stands since New.
type Status struct {
	URLs      []string  `json:"urls"`
	Reachable bool      `json:"reachable"`              // whether the newest request was answered as it should be
	Since     time.Time `json:"since,omitzero"`         // since when that is so; zero if nothing was asked yet
	Error     string    `json:"error,omitempty"`        // the last one, in one line, with what to do
	ErrorAt   time.Time `json:"error_at,omitzero"`      // when that was
	Created   uint64    `json:"created"`                // documents that were created,
	Known     uint64    `json:"known"`                  // that were there already,
	Refused   uint64    `json:"refused"`                // that were refused for good,
	Buried    uint64    `json:"buried"`                 // and that were written to the file of dead letters
	Letters   string    `json:"dead_letters,omitempty"` // that file
	Retried   uint64    `json:"retried"`                // how often a document had to be sent again
	Requests  uint64    `json:"requests"`               // of all kinds
	Bytes     uint64    `json:"bytes"`                  // of their bodies, as sent
}

// health keeps the status.
type health struct {
	mu     sync.Mutex
	status Status
	taken  bool // a bulk request went through
}

// Status returns how c stands.
func (c *Cluster) Status() Status {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	return c.health.status
}

// count changes figures of the status.
func (h *health) count(change func(s *Status)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.status)
}

// turn notes whether the cluster is reachable, and returns whether that is new.
func (h *health) turn(reachable bool, at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.status.Since.IsZero() && h.status.Reachable == reachable {
		return false
	}
	h.status.Reachable, h.status.Since = reachable, at
	return true
}

// took notes that a bulk request went through.
func (h *health) took() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = true
}

// takes says whether any bulk request ever went through.
func (h *health) takes() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

// complain keeps err as the last error.
func (c *Cluster) complain(err error) {
	text := cut(err.Error())
	c.health.count(func(s *Status) { s.Error, s.ErrorAt = text, time.Now() })
}

// note notes how a request ended, err being nil if well, and returns err.
func (c *Cluster) note(err error) error {
	t := troubleWith(err)
	c.options.Metrics.requests.WithLabelValues(string(t)).Inc()
	if t == stopped {
		return err // which tells nothing of the cluster
	}
	reachable := t.answered()
	if !reachable {
		c.complain(err)
	}
	turned := c.health.turn(reachable, time.Now())
	switch {
	case turned && reachable:
		c.options.Metrics.up.Set(1)
		c.options.Log.Info("elasticsearch is reachable", "urls", c.config.shown())
	case turned:
		c.options.Metrics.up.Set(0)
		c.options.Log.Warn("elasticsearch is not reachable", "urls", c.config.shown(), "reason", string(t), "err", err)
	}
	return err
}
