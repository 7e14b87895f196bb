package collector

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"flyball/collector/exporter"
)

// index tells people what is watched and how each target was at its last scrape,
// whole errors included: metrics have room for one word alone.
func (c *Collector) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tTARGET\tNODE\tSTATE\tSCRAPED\tWHY")
	now := time.Now()
	rows := 0
	for _, x := range c.watch.all() {
		states := statesOf(x.target)
		for _, node := range slices.Sorted(maps.Keys(states)) {
			rows++
			state, why := verdict(states[node])
			ago := "never"
			if at := states[node].At; !at.IsZero() {
				ago = now.Sub(at).Round(time.Second).String() + " ago"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", x.kind, x.name, node, state, ago, why)
		}
	}
	if err := t.Flush(); err != nil {
		c.options.Logger.Debug("list of targets was not taken", "err", err)
	}
	if rows == 0 {
		fmt.Fprintln(w, "\nnothing: name it under collect: in flyball.yaml")
	}
}

// statesOf is how a target did, by node; "" is a target of one.
func statesOf(t target) map[string]exporter.Status {
	switch x := t.(type) {
	case interface{ Status() exporter.Status }:
		return map[string]exporter.Status{"": x.Status()}
	case interface {
		Status() map[string]exporter.Status
	}:
		return x.Status()
	}
	return nil
}

// verdict says how a target is, and why it is not well.
func verdict(s exporter.Status) (state, why string) {
	if s.At.IsZero() {
		return "-", ""
	}
	if s.Down != nil {
		return "down", oneLine(s.Down)
	}
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(s.Parts)) {
		if err := s.Parts[p]; err != nil {
			parts = append(parts, p+": "+oneLine(err))
		}
	}
	if len(parts) > 0 {
		return "partly", strings.Join(parts, "; ")
	}
	return "up", ""
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
