package elastic

import (
	"flyball/collector/elastic/cluster"
	"flyball/collector/elastic/events"
	"flyball/collector/elastic/samples"
	"flyball/collector/elastic/setup"
	"flyball/collector/elastic/views"
)

// Status is how far an Elasticsearch is supplied.
type Status struct {
	Cluster cluster.Status `json:"cluster"`
	Unready string         `json:"unready,omitempty"` // why the templates do not stand; nothing is sent until they do
	Left    []string       `json:"left,omitempty"`    // what of others' stands in our place, and what to do
	Samples samples.Status `json:"samples"`
	Views   views.Status   `json:"views"`
	Events  events.Status  `json:"events"`
}

// Status tells how far it is; nil if no Elasticsearch is configured.
func (s *Shipper) Status() *Status {
	l := s.current()
	if l == nil {
		return nil
	}
	st := &Status{Cluster: l.cluster.Status(), Events: l.events.Status()}
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Unready, st.Left = l.unready, l.left
	if l.samples != nil {
		st.Samples = l.samples.Status()
	}
	if l.views != nil {
		st.Views = l.views.Status()
	}
	return st
}

// stands keeps how setting up went.
func (l *Line) stands(r setup.Report, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = nil
	for _, x := range r.Left() {
		l.left = append(l.left, x.Name+" "+x.Why+": "+x.Hint)
	}
	if l.unready = ""; err != nil {
		l.unready = err.Error()
	}
}
