// Package cluster speaks to one Elasticsearch: it connects, says what it found
// there, and writes documents in bulk until each of them is there or was refused
// for good.
package cluster

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/prometheus/common/model"
)

// Config is where an Elasticsearch is, and who asks. Files are read anew for each
// connection or request, so that a rotated secret works; what is in them is never
// shown.
type Config struct {
	URLs         []string       `yaml:"urls" required:"true" doc:"addresses of the cluster's nodes, e.g. https://es:9200; each is tried in turn"`
	APIKeyFile   string         `yaml:"api_key_file" doc:"file of an API key, as Elasticsearch encodes it; none by default"`
	Username     string         `yaml:"username" doc:"user, with password_file; none by default"`
	PasswordFile string         `yaml:"password_file" doc:"file of the user's password"`
	CAFile       string         `yaml:"ca_file" doc:"certificates that the server's must be signed by, as PEM; the system's by default"`
	CertFile     string         `yaml:"cert_file" doc:"our own certificate, as PEM, with key_file; none by default"`
	KeyFile      string         `yaml:"key_file" doc:"key of our own certificate, as PEM"`
	Compress     bool           `yaml:"compress" default:"true" doc:"whether what is sent is compressed"`
	Timeout      model.Duration `yaml:"timeout" default:"30s" doc:"how long one request may take"`
}

// A Lane orders deliveries: while one of a lower lane waits or is under way, no new
// request of a higher one is begun.
type Lane int

// The lanes.
const (
	Events Lane = iota
	Samples
)

// A Document is to be created in a data stream.
type Document struct {
	Stream string // e.g. logs-flyball.scaling-default
	ID     string // "" for a time series, whose documents' ids follow from their dimensions and time
	Body   []byte // one JSON object, on one line
}

// A Refusal is why Elasticsearch does not take a document, and will not however
// often it is asked. That the document is known already (409) is no refusal.
type Refusal struct {
	Status int    `json:"status,omitempty"` // of the item, e.g. 400; 0 if we did not send it
	Type   string `json:"type,omitempty"`   // Elasticsearch's word, e.g. document_parsing_exception
	Reason string `json:"reason,omitempty"` // its sentence, and the cause's; cut to 1 KB
	Field  string `json:"field,omitempty"`  // that it is about, as far as the reason names one, e.g. prometheus.metrics.up
}

// Info is what a cluster says of itself.
type Info struct {
	Name    string
	Version string        // e.g. 8.19.21
	Skew    time.Duration // of its clock against ours: positive if it is ahead
	Clocked bool          // whether it told the time at all; else Skew is 0
}

// Options are what a Cluster needs beside its Config.
type Options struct {
	Log     *slog.Logger // nil: nothing is logged
	Metrics *Metrics     // nil: nobody's
	Dir     string       // of the file of dead letters; "": none can be buried
	Agent   string       // User-Agent, e.g. flyball/1.0
}

// A Cluster is one Elasticsearch. It is safe for concurrent use.
type Cluster struct {
	config  Config
	options Options
	client  *elasticsearch.BaseClient
	wire    *wire
	pace    pace
	lanes   lanes
	limit   limit
	health  health
	grave   grave
}

// New returns the cluster of c, which must be valid. Nothing is reached yet.
func New(c Config, o Options) (*Cluster, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	w := newWire(c)
	client, err := w.client(o.Agent)
	if err != nil {
		return nil, err
	}
	k := &Cluster{config: c, options: o, client: client, wire: w, pace: usualPace()}
	k.health.status.URLs = c.shown()
	if k.grave.dir = o.Dir; o.Dir != "" {
		k.health.status.Letters = lettersOf(o.Dir)
		if size, err := k.grave.size(); err == nil { // of an earlier run of the program
			o.Metrics.letters.Set(float64(size))
		}
	}
	return k, nil
}

// Close closes connections that are idle. Whoever asks or delivers must have
// returned.
func (c *Cluster) Close() { c.wire.closeIdle() }

const defaultTimeout = model.Duration(30 * time.Second)

// genuine says whether an answer is Elasticsearch's: since 7.14 each has this header.
func genuine(h http.Header) bool { return h.Get("X-Elastic-Product") == "Elasticsearch" }
