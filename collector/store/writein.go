package store

import (
	"net/http"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/prometheus/storage/remote"
)

// WriteHandler answers remote write, versions 1 and 2. What is written in goes
// to the received database. It is made once per store. Whoever serves it guards
// it: it asks for no token.
func (s *Store) WriteHandler() http.Handler {
	into := receiving{s.received, s.wakeAccepted, s.tide}
	h := remote.NewWriteHandler(s.logger.With("component", "remote write in"), s.reg, into,
		remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, false)
	return s.whileOpen(h)
}

// wakeAccepted signals a commit of series from outside, if any may drive a pool.
func (s *Store) wakeAccepted() {
	if len(s.accept.Load().all) > 0 {
		s.gate.signal()
	}
}

// whileOpen answers 503 once the store is closing.
func (s *Store) whileOpen(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.closed.Load() {
			http.Error(w, "The store is closing. Try again.", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}
