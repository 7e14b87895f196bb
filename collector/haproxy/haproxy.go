// Package haproxy watches HAProxy, and speaks its Runtime API for those who act
// on it.
//
// A HAProxy is read over its socket (`show info` and `show stat`; the level user
// is enough) or, without the numbers of the process, over its statistics page.
// The metrics have the names, types and labels of HAProxy's own Prometheus
// exporter, and its values; a number that HAProxy does not have is left out, where
// its own exporter says NaN. To them come, in the same manner of naming, what is
// wrong though nothing is down yet: servers that nobody checks, backends with one
// server left, and sessions near their limit.
//
// A server in maintenance gives its status and, while it has any, its sessions:
// the free slots of a server-template are in maintenance, and hundreds of them
// would say zero some fifty times each. Nor does such a server count where a
// backend's servers are counted. What a check said last is told as one series,
// and not as one for each thing that it might have said.
package haproxy

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"flyball/collector/exporter"
)

// kind begins the names of all metrics.
const kind = "haproxy"

// longestPath is how long the name of a Unix socket may be.
const longestPath = 107

// Config is one HAProxy.
type Config struct {
	Name         string        `yaml:"name" required:"true" doc:"name of the target"`
	Socket       string        `yaml:"socket" doc:"its stats socket: a path, or host:port; this or url"`
	URL          string        `yaml:"url" doc:"its statistics page, e.g. http://lb:81/stats;csv; it tells nothing of the process"`
	Username     string        `yaml:"username" doc:"who may see the page, as in stats auth"`
	PasswordFile string        `yaml:"password_file" doc:"file with the password for the page; read anew at each scrape"`
	Timeout      time.Duration `yaml:"timeout" default:"5s" doc:"how long it may take to tell everything"`
}

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	if r := NewRuntime(c.Socket); c.Socket != "" && r.network == "unix" && !filepath.IsAbs(r.address) && !strings.HasPrefix(r.address, "@") {
		c.Socket = filepath.Join(dir, r.address)
	}
	if c.PasswordFile != "" && !filepath.IsAbs(c.PasswordFile) {
		c.PasswordFile = filepath.Join(dir, c.PasswordFile)
	}
}

// Validate names the mistakes of c.
func (c Config) Validate() []exporter.Mistake {
	var ms []exporter.Mistake
	switch {
	case c.Socket == "" && c.URL == "":
		ms = append(ms, exporter.Mistake{Field: ".socket", Text: "says nothing of where HAProxy is", Hint: "write socket: /run/haproxy/admin.sock, or url: http://host:port/stats;csv"})
	case c.Socket != "" && c.URL != "":
		ms = append(ms, exporter.Mistake{Field: ".url", Text: "stands beside socket", Hint: "write one of them; the socket tells more"})
	case c.URL != "":
		ms = append(ms, c.page().Mistakes()...)
	case c.Username != "" || c.PasswordFile != "":
		ms = append(ms, exporter.Mistake{Field: ".username", Text: "is for the statistics page, and a socket is read", Hint: "leave username and password_file out"})
	}
	if r := NewRuntime(c.Socket); r.network == "unix" && len(r.address) > longestPath {
		ms = append(ms, exporter.Mistake{Field: ".socket", Text: "is longer than the 107 bytes that the name of a socket may have", Hint: "put the socket into a folder with a shorter name"})
	}
	if c.Timeout != 0 && (c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute) {
		ms = append(ms, exporter.Mistake{Field: ".timeout", Text: c.Timeout.String() + " is not between 100ms and 1m", Hint: "write e.g. 5s"})
	}
	return ms
}

// New makes the exporter of one HAProxy. Nothing is reached yet, and c
// is taken for valid.
func New(c Config, log *slog.Logger) (*exporter.Exporter, error) {
	var t target
	if c.Socket != "" {
		t.runtime = NewRuntime(c.Socket)
	} else {
		t.page = c.page()
	}
	return exporter.New(exporter.Options{
		Kind: kind, Timeout: c.Timeout, Reach: t.reach, Parts: t.parts(), Logger: log.With("target", c.Name),
	}), nil
}

// page is the statistics page as a table.
func (c Config) page() *exporter.Page {
	address := c.URL
	if u, err := url.Parse(address); err == nil && !strings.Contains(u.Path, ";csv") {
		u.Path = cmp.Or(u.Path, "/") + ";csv"
		address = u.String()
	}
	return exporter.NewPage(address, c.Username, c.PasswordFile)
}

// Table documents the metrics.
func Table() string { return exporter.Table(kind, (&target{runtime: &Runtime{}}).parts()) }

// A target is a HAProxy that is scraped, over one of two ways.
type target struct {
	runtime *Runtime
	page    *exporter.Page
	told    string // what reach was told, until the part that it is for has read it
}

// reach asks for what one of the parts needs: whoever can tell that is up.
func (t *target) reach(ctx context.Context) error {
	var err error
	if t.page != nil {
		t.told, err = t.page.Get(ctx)
	} else {
		t.told, err = t.ask(ctx, "show info")
	}
	return err
}

func (t *target) parts() []exporter.Part {
	var parts []exporter.Part
	if t.runtime != nil {
		p := newProcess()
		parts = append(parts, exporter.Part{Name: "process", Metrics: p.metrics(), Read: func(_ context.Context, s *exporter.Sink) error {
			return p.tell(t.take(), s)
		}})
	}
	st := newStats()
	return append(parts, exporter.Part{Name: "stats", Metrics: st.metrics(), Read: func(ctx context.Context, s *exporter.Sink) error {
		text, err := t.stats(ctx)
		if err != nil {
			return err
		}
		return st.tell(text, s)
	}})
}

// stats is the table of all proxies and servers.
func (t *target) stats(ctx context.Context) (string, error) {
	if t.page != nil {
		return t.take(), nil
	}
	return t.ask(ctx, "show stat")
}

// ask asks the socket; to be told no is an error.
func (t *target) ask(ctx context.Context, command string) (string, error) {
	answer, err := t.runtime.Ask(ctx, command)
	if err != nil {
		return "", err
	}
	return answer, Refusal(answer)
}

// take hands out what reach was told, once.
func (t *target) take() string {
	text := t.told
	t.told = ""
	return text
}
