package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// largestTable bounds what the control socket reads: tens of thousands of members.
const largestTable = 8 << 20

// Control is the balancer's own API, meant for a unix socket that only its user
// may open:
//
//	GET   /version   About
//	GET   /members   Table
//	PUT   /members   Table, whole; members it does not name are forgotten
//	PATCH /members   Change
//	PUT   /check     Check
//	GET   /open      requests in progress by member
//	POST  /stop      end when the open requests have ended
//	GET   /metrics   for Prometheus
//
// Every change is idempotent and on disk before it is answered.
func (b *Balancer) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.about) })
	mux.HandleFunc("GET /members", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.table.table()) })
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.table.openRequests()) })
	mux.HandleFunc("PUT /members", b.putMembers)
	mux.HandleFunc("PATCH /members", b.patchMembers)
	mux.HandleFunc("PUT /check", b.putCheck)
	mux.HandleFunc("POST /stop", b.postStop)
	mux.Handle("GET /metrics", b.metricsHandler())
	return mux
}

func (b *Balancer) metricsHandler() http.Handler {
	return promhttp.HandlerFor(b.metrics.registry, promhttp.HandlerOpts{})
}

func (b *Balancer) putMembers(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestTable))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	tb, err := decodeTable(raw)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.table.replace(tb)
	b.kept(w)
}

func (b *Balancer) patchMembers(w http.ResponseWriter, r *http.Request) {
	c, err := decodeChange(http.MaxBytesReader(w, r.Body, largestTable))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !b.table.change(c) {
		reply(w, b.table.table())
		return
	}
	b.log.Info("rotation changed", "admitted", len(c.Admit), "withdrawn", len(c.Withdraw))
	b.kept(w)
}

func (b *Balancer) putCheck(w http.ResponseWriter, r *http.Request) {
	var c Check
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestTable)).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !b.table.recheck(c) {
		reply(w, b.table.table())
		return
	}
	b.kept(w)
}

func (b *Balancer) postStop(w http.ResponseWriter, _ *http.Request) {
	if b.stop == nil {
		http.Error(w, "this balancer is not a process of its own", http.StatusConflict)
		return
	}
	reply(w, b.about)
	b.stop()
}

// kept answers a change once it is on disk.
func (b *Balancer) kept(w http.ResponseWriter) {
	if err := b.keep(); err != nil {
		b.log.Error("table of members not kept", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, b.table.table())
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client left: there is nobody to tell
}

func decodeChange(r io.Reader) (Change, error) {
	var c Change
	if err := json.NewDecoder(r).Decode(&c); err != nil {
		return Change{}, fmt.Errorf("decode change: %w", err)
	}
	for _, m := range c.Withdraw {
		if m.ID != "" && m.Addr == "" {
			continue // it is dead, and was known by its name
		}
		if err := m.validate(); err != nil {
			return Change{}, fmt.Errorf("decode change: %w", err)
		}
	}
	for _, m := range c.Admit {
		if err := m.validate(); err != nil {
			return Change{}, fmt.Errorf("decode change: %w", err)
		}
	}
	return c, nil
}

func (m Member) validate() error {
	if m.ID == "" {
		return errors.New("a member has no id")
	}
	if _, _, err := net.SplitHostPort(m.Addr); err != nil {
		return fmt.Errorf("member %s: %q is no address (host:port)", m.ID, m.Addr)
	}
	return nil
}
