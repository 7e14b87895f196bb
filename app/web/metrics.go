package web

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those of the users' requests: rate, errors and duration by route.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	queued   prometheus.Gauge
	workers  prometheus.Gauge
	open     atomic.Int64
}

// buckets are seconds. They are close together where an answer of one worker with
// a service time of some ten milliseconds falls, alone or behind a short queue.
func buckets() []float64 {
	return []float64{.001, .0025, .005, .01, .02, .03, .04, .05, .06, .075, .1, .15, .2, .25, .3, .4, .5, .75, 1, 1.5, 2.5, 5, 10}
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Users' requests answered, by route, method and status code; 499 is a client that did not wait.",
		}, []string{"route", "method", "code"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_request_duration_seconds",
			Help:    "Time from a request's arrival to its answer, the wait for a worker included.",
			Buckets: buckets(),
		}, []string{"route", "method"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight",
			Help: "Requests that a worker serves now.",
		}),
		queued: f.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_queued",
			Help: "Requests that wait for a worker now.",
		}),
		workers: f.NewGauge(prometheus.GaugeOpts{
			Name: "http_workers",
			Help: "Requests that are served at once; 0 is unbounded.",
		}),
	}
}

// count measures every request of a route. The route's series exist from the
// start, so that the first error is seen as a rise from zero.
func (m *metrics) count(pattern string, h http.Handler) http.Handler {
	method, route, found := strings.Cut(pattern, " ")
	if !found {
		method, route = "", pattern
	}
	route = routeLabel(route)
	for _, code := range expected(method) {
		m.requests.WithLabelValues(route, method, strconv.Itoa(code))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		m.open.Add(1)
		seen := &observed{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			m.open.Add(-1)
			method := methodLabel(r.Method)
			m.requests.WithLabelValues(route, method, strconv.Itoa(seen.code)).Inc()
			m.duration.WithLabelValues(route, method).Observe(time.Since(start).Seconds())
		}()
		h.ServeHTTP(seen, r)
	})
}

// routeLabel names a route as people know it; what is served nowhere is "other".
func routeLabel(route string) string {
	switch route {
	case "/{$}":
		return "/"
	case "/", "/api/":
		return "other"
	}
	return route
}

// expected lists the codes of a method whose series exist from the start.
func expected(method string) []int {
	switch method {
	case http.MethodGet:
		return []int{http.StatusOK, http.StatusServiceUnavailable}
	case http.MethodPost:
		return []int{http.StatusCreated, http.StatusServiceUnavailable}
	case http.MethodPut:
		return []int{http.StatusOK, http.StatusCreated, http.StatusServiceUnavailable}
	case http.MethodDelete:
		return []int{http.StatusNoContent, http.StatusServiceUnavailable}
	}
	return nil
}

// methodLabel bounds the label: a client may send any word as a method.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// observed remembers an answer's status.
type observed struct {
	http.ResponseWriter
	code  int
	wrote bool
}

func (o *observed) WriteHeader(code int) {
	if !o.wrote {
		o.code, o.wrote = code, true
	}
	o.ResponseWriter.WriteHeader(code)
}

func (o *observed) Write(b []byte) (int, error) {
	o.wrote = true
	return o.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }
