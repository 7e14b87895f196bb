// Package nginx watches nginx over its page stub_status. The metrics have the
// names, types and labels that nginx-prometheus-exporter gives them.
package nginx

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"flyball/collector/exporter"
)

// kind begins the names of all metrics.
const kind = "nginx"

// Config is one nginx.
type Config struct {
	Name         string        `yaml:"name" required:"true" doc:"name of the target"`
	URL          string        `yaml:"url" required:"true" doc:"its page stub_status, e.g. http://web:8080/stub_status"`
	Username     string        `yaml:"username" doc:"who may see the page, where auth_basic is on"`
	PasswordFile string        `yaml:"password_file" doc:"file with the password for the page; read anew at each scrape"`
	Timeout      time.Duration `yaml:"timeout" default:"5s" doc:"how long it may take to answer"`
}

// Resolve puts a relative name of a file below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	if c.PasswordFile != "" && !filepath.IsAbs(c.PasswordFile) {
		c.PasswordFile = filepath.Join(dir, c.PasswordFile)
	}
}

// Validate names the mistakes of c.
func (c Config) Validate() []exporter.Mistake {
	ms := c.page().Mistakes()
	if c.Timeout != 0 && (c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute) {
		ms = append(ms, exporter.Mistake{Field: ".timeout", Text: c.Timeout.String() + " is not between 100ms and 1m", Hint: "write e.g. 5s"})
	}
	return ms
}

func (c Config) page() *exporter.Page { return exporter.NewPage(c.URL, c.Username, c.PasswordFile) }

// New makes the exporter of one nginx. Nothing is reached yet, and c
// is taken for valid.
func New(c Config, log *slog.Logger) (*exporter.Exporter, error) {
	t := target{page: c.page()}
	return exporter.New(exporter.Options{
		Kind: kind, Timeout: c.Timeout, Reach: t.reach, Parts: t.parts(), Logger: log.With("target", c.Name),
	}), nil
}

// Table documents the metrics.
func Table() string { return exporter.Table(kind, new(target).parts()) }

// A target is an nginx that is scraped.
type target struct {
	page *exporter.Page
	told string // what reach was told
}

// reach reads the page: whoever has one is up.
func (t *target) reach(ctx context.Context) error {
	var err error
	t.told, err = t.page.Get(ctx)
	return err
}

func (t *target) parts() []exporter.Part {
	ms := []exporter.Metric{ // in the order of the page
		exporter.Gauge("nginx_connections_active", "Connections that are open, idle ones among them."),
		exporter.Counter("nginx_connections_accepted", "Connections that were accepted."),
		exporter.Counter("nginx_connections_handled", "Accepted connections that were served; fewer than accepted if a limit, as worker_connections, was met."),
		exporter.Counter("nginx_http_requests_total", "HTTP requests."),
		exporter.Gauge("nginx_connections_reading", "Connections of which nginx reads the request's header."),
		exporter.Gauge("nginx_connections_writing", "Connections that nginx writes the response to."),
		exporter.Gauge("nginx_connections_waiting", "Idle connections, kept for another request."),
	}
	return []exporter.Part{{Name: "stub_status", Metrics: ms, Read: func(_ context.Context, s *exporter.Sink) error {
		numbers, err := parse(t.told)
		for i, v := range numbers {
			s.Give(ms[i], v)
		}
		return err
	}}}
}

var status = regexp.MustCompile(`^Active connections: (\d+) *\r?\n` +
	`server accepts handled requests *\r?\n` +
	` *(\d+) +(\d+) +(\d+) *\r?\n` +
	`Reading: (\d+) +Writing: (\d+) +Waiting: (\d+) *\r?\n$`)

// parse reads the page: its seven numbers in their order, or none.
func parse(page string) ([]float64, error) {
	found := status.FindStringSubmatch(page)
	if found == nil {
		return nil, exporter.Because(exporter.Protocol, fmt.Errorf("the page is no stub_status: it begins with %q", page[:min(len(page), 80)]))
	}
	var numbers []float64
	for _, text := range found[1:] {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, exporter.Because(exporter.Protocol, fmt.Errorf("read the page: %w", err))
		}
		numbers = append(numbers, v)
	}
	return numbers, nil
}
