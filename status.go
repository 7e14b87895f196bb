package main

import (
	"encoding/json"
	"net/http"

	"flyball/collector/elastic"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// An overview is what the service is doing now, as GET /api/flyball/v1/status answers.
type overview struct {
	scaler.Status
	Elasticsearch *elastic.Status `json:"elasticsearch,omitempty"` // nil if none is configured
}

func (a *appliance) status(w http.ResponseWriter, _ *http.Request) {
	st, err := a.scaler.Status()
	if err != nil {
		journal.Tell(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(overview{st, a.elastic.Status()}) // the client went away
}
