package main

import (
	"fmt"
	"strings"
)

// tellElastic says how far Elasticsearch is supplied, and what keeps it from being so;
// nothing if none is configured.
func tellElastic(st overview) []string {
	e := st.Elasticsearch
	if e == nil {
		return nil
	}
	where := strings.Join(e.Cluster.URLs, ", ")
	if e.Unready != "" {
		return []string{"elasticsearch " + where + " is not ready: " + printable(e.Unready)}
	}
	behind := max(st.Now.Sub(e.Samples.Cursor), 0)
	line := fmt.Sprintf("elasticsearch %s   %s behind   %d documents", where, span(behind), e.Cluster.Created)
	if e.Events.Behind > 0 {
		line += fmt.Sprintf("   %d events wait", e.Events.Behind)
	}
	if e.Cluster.Buried > 0 {
		line += fmt.Sprintf("   %d dead letters", e.Cluster.Buried)
	}
	lines := []string{line}
	if !e.Cluster.Reachable {
		lines = append(lines, "elasticsearch is not reached: "+printable(e.Cluster.Error))
	}
	for _, x := range e.Left {
		lines = append(lines, "elasticsearch: "+printable(x))
	}
	return lines
}
