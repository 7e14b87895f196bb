package store

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/grafana/regexp" // the one that the API takes
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/notifications"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// APIOptions is what the API tells of besides samples. All fields are needed but
// ExternalURL and Flags.
type APIOptions struct {
	Targets     Targets
	Rules       apiv1.RulesRetriever
	Config      func() *promconfig.Config // the one in force
	Gatherer    prometheus.Gatherer       // the program's own metrics
	ExternalURL *url.URL                  // how others reach the listener; links in answers
	Listen      string                    // host:port
	Flags       map[string]string
	Revision    string // of the program, for people
}

// Targets tells of scrape targets: a scrape manager.
type Targets interface {
	apiv1.TargetRetriever
	apiv1.ScrapePoolsRetriever
}

// Limits of remote read: Prometheus' defaults.
const (
	readSamples     = 5e7
	readConcurrency = 10
	readFrame       = 1 << 20
)

// Handler answers reading requests below /api/v1 and at /federate. It is made
// once per store. It has nothing that changes anything: writing in is
// [Store.WriteHandler], and there is no administration.
func (s *Store) Handler(o APIOptions) http.Handler {
	if o.ExternalURL == nil {
		o.ExternalURL = &url.URL{Scheme: "http", Host: o.Listen}
	}
	made := sync.OnceValue(func() http.Handler { // it describes itself at length, which a start need not wait for
		r := route.New()
		s.api(o).Register(r)
		return http.StripPrefix("/api/v1", r)
	})
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { made().ServeHTTP(w, r) })))
	mux.Handle("GET /federate", s.federation(o.Config))
	return s.whileOpen(mux)
}

func (s *Store) api(o APIOptions) *apiv1.API {
	all := s.everything()
	return apiv1.NewAPI(
		s.engines.api, all, nil, nil, s.db,
		func(context.Context) apiv1.ScrapePoolsRetriever { return o.Targets },
		func(context.Context) apiv1.TargetRetriever { return o.Targets },
		func(context.Context) apiv1.AlertmanagerRetriever { return noAlertmanagers{} },
		func() promconfig.Config { return *o.Config() },
		o.Flags,
		apiv1.GlobalURLOptions{ListenAddress: o.Listen, Host: o.ExternalURL.Host, Scheme: o.ExternalURL.Scheme},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		statistics{s}, s.db.Dir(),
		false, false, 0, // administration, search
		s.logger.With("component", "api"),
		func(context.Context) apiv1.RulesRetriever { return o.Rules },
		readSamples, readConcurrency, readFrame,
		false, // agent
		noOrigin,
		func() (apiv1.RuntimeInfo, error) { return s.runtimeInfo(o.Gatherer) },
		buildInfo(o.Revision),
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		o.Gatherer, s.reg, nil,
		false, nil, // remote write: see WriteHandler
		false, false, false, false, // OTLP
		lookback, false, false, nil, s.engines.features,
		apiv1.OpenAPIOptions{ExternalURL: o.ExternalURL.String(), Version: upstream},
		parser.NewParser(parser.Options{}),
	)
}

// readOnly keeps away what the API would only answer with "not enabled".
func readOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := strings.TrimPrefix(r.URL.Path, "/api/v1/")
		if p == "write" || strings.HasPrefix(p, "otlp/") || strings.HasPrefix(p, "admin/") {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// noAlertmanagers is the list of external Alertmanagers, which is empty.
type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

// noOrigin lets no page of another origin read answers: it matches nothing.
var noOrigin = regexp.MustCompile(`[^\s\S]`)

// errNoAdministration answers what the API cannot ask while administration is off.
var errNoAdministration = errors.New("administration of the database is off")
