package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"

	"flyball/scaler/journal"
)

// drainTime is how long open answers may take when the service stops.
const drainTime = 5 * time.Second

// A guard decides who may do what on the listener. Reading is open, unless the
// web configuration has users: then every request needs one. An act needs the
// token of the data folder, or, with users, one who is an operator.
type guard struct {
	users     bool
	operators []string
	token     string
}

// newGuard reads the web configuration and the token, which it makes at the first start.
func newGuard(c Config) (guard, error) {
	g := guard{operators: c.Web.Operators}
	if c.Web.ConfigFile != "" {
		b, err := os.ReadFile(c.Web.ConfigFile)
		if err != nil {
			return g, fmt.Errorf("read web configuration: %w", err)
		}
		var users struct {
			Users map[string]string `yaml:"basic_auth_users"`
		}
		if err := yaml.Unmarshal(b, &users); err != nil {
			return g, fmt.Errorf("read web configuration %s: %w", c.Web.ConfigFile, err)
		}
		g.users = len(users.Users) > 0
	}
	var err error
	g.token, err = readToken(filepath.Join(c.Data, "token"))
	return g, err
}

// readToken reads the file's token, and writes one if there is none.
func readToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		if t := strings.TrimSpace(string(b)); len(t) >= 16 {
			return t, nil
		}
		return "", fmt.Errorf("read token: %s holds fewer than 16 characters; remove it, and a new one is made", file)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read token: %w", err)
	}
	var raw [24]byte
	_, _ = rand.Read(raw[:]) // never fails
	t := hex.EncodeToString(raw[:])
	if err := os.WriteFile(file, []byte(t+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write token: %w", err)
	}
	return t, nil
}

// act lets a request through that may change something.
func (g guard) act(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		bearer, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case g.users && slices.Contains(g.operators, user):
			next.ServeHTTP(w, r)
		case g.users:
			journal.Tell(w, http.StatusForbidden, "user "+user+" is no operator: list the user under web.operators")
		case given && subtle.ConstantTimeCompare([]byte(bearer), []byte(g.token)) == 1:
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			journal.Tell(w, http.StatusUnauthorized, "an act needs the token that stands in the file token of the data folder, as Bearer")
		}
	}))
}

// who names the one who acts.
func (g guard) who(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok && g.users {
		return user
	}
	return "token"
}

// routes is everything on the one listener.
func (a *appliance) routes() http.Handler {
	mux := http.NewServeMux()
	reads := a.store.Handler(a.apiOptions())
	mux.Handle("/api/v1/", reads)
	mux.Handle("GET /federate", reads)
	mux.Handle("POST /api/v1/write", a.guard.act(a.store.WriteHandler()))
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.gatherer, promhttp.HandlerOpts{Registry: a.registry}))
	mux.Handle("GET /sd/pools", a.collector.PoolTargets())
	mux.Handle("GET /collect", a.collector.Targets())
	mux.Handle("GET /collect/", a.collector.Targets())
	acts := a.scaler.Handler(a.guard.who)
	mux.Handle("GET /api/flyball/v1/", a.journal.Handler())
	mux.HandleFunc("GET /api/flyball/v1/status", a.status)
	mux.Handle("POST /api/flyball/v1/", a.guard.act(acts))
	mux.HandleFunc("GET /-/healthy", a.healthy)
	mux.HandleFunc("GET /-/ready", a.ready)
	mux.Handle("POST /-/reload", a.guard.act(http.HandlerFunc(a.reloadNow)))
	mux.HandleFunc("GET /{$}", a.front)
	return mux
}

// healthy fails while a pool goes unjudged, which is worse than any decision.
func (a *appliance) healthy(w http.ResponseWriter, _ *http.Request) {
	if pools := a.scaler.Neglected(time.Now()); len(pools) > 0 {
		journal.Tell(w, http.StatusServiceUnavailable, "not judged for three intervals: "+strings.Join(pools, ", ")+"; the log says why")
		return
	}
	fmt.Fprintln(w, "Flyball is Healthy.")
}

func (a *appliance) ready(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "Flyball is Ready.")
}

// reloadNow reads configuration and rules again.
func (a *appliance) reloadNow(w http.ResponseWriter, r *http.Request) {
	if err := a.reload(a.guard.who(r)); err != nil {
		journal.Tell(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	fmt.Fprintln(w, "reloaded")
}

// front tells a person who opens the listener in a browser where things are.
func (a *appliance) front(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `Flyball %s

  /api/v1            PromQL: a Prometheus data source for Grafana
  /federate          samples for another Prometheus
  /sd/pools          members of the pools, for http_sd_configs
  /collect           what is watched, and how it is; /collect/<kind>?target=<name> is scraped
  /metrics           Flyball's own metrics
  /-/healthy         fails while a pool goes unjudged
  /api/flyball/v1    status, decisions, explanations; what the commands ask

Commands: flyball status | explain [pool] | decisions | pool | stop-all | help
`, version)
}

// serve answers on the listener until the context ends, and returns when open
// answers are finished or their time is over.
func (a *appliance) serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() {
		file := a.config.Load().Web.ConfigFile
		failed <- web.Serve(l, server, &web.FlagConfig{WebConfigFile: &file}, a.log.With("component", "web"))
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-failed
	return err
}

// now is the time as the journal writes it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
