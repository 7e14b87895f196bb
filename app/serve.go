package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flyball/app/web"
)

// serveConfig is what the flags of `serve` say.
type serveConfig struct {
	listen     string
	store      storeConfig
	log        logConfig
	web        web.Config
	drainDelay time.Duration
	drain      time.Duration
}

// queuePerWorker is how many requests may wait for each worker by default.
const queuePerWorker = 64

func serveCommand() *cobra.Command {
	var c serveConfig
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the catalogue until SIGTERM, then drain",
		Long: `Serve the catalogue: REST under /api/products, pages at /, /livez, /readyz, /metrics.

On SIGTERM or SIGINT /readyz turns 503 at once; after --drain-delay the listener
closes; open requests have --drain to finish. The exit code is 0 if all did.

Each flag may be given in the environment instead: --cassandra-hosts as APP_CASSANDRA_HOSTS.`,
		Example: `  app serve --db app.db
  app serve --store cassandra --cassandra-hosts 10.0.0.4,10.0.0.5 --cassandra-user app --cassandra-password-file app.password
  app serve --store postgres --postgres-dsn 'postgres://app@db1,db2/app' --postgres-password-file app.password`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.prepare(cmd.Flags()); err != nil {
				return fmt.Errorf("%w (%w)", err, errUsage)
			}
			return serve(cmd.Context(), c, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.listen, "listen", "127.0.0.1:8080", "address to serve on; port 0 takes a free one")
	c.store.register(f)
	c.log.register(f)
	f.IntVar(&c.web.Workers, "workers", 0, "requests served at once, the rest wait; 0 is unbounded")
	f.IntVar(&c.web.Queue, "queue", 0, "requests that wait at most; over it 503 (default 64 per worker)")
	f.DurationVar(&c.web.ServiceTime, "service-time", 0, "hold the worker this long in addition, asleep: for demos and tests")
	f.DurationVar(&c.drainDelay, "drain-delay", 3*time.Second, "time from /readyz turning 503 to the closing of the listener")
	f.DurationVar(&c.drain, "drain", 30*time.Second, "time for open requests to finish after the listener closed")
	return cmd
}

// prepare completes what the flags say and says everything that is wrong with it.
func (c *serveConfig) prepare(flags *pflag.FlagSet) error {
	if err := fromEnvironment(flags); err != nil {
		return err
	}
	if !flags.Changed("queue") {
		c.web.Queue = queuePerWorker * max(c.web.Workers, 0)
	}
	errs := []error{c.store.validate(flags), c.log.validate(), c.web.Validate()}
	if c.drainDelay < 0 || c.drain < 0 {
		errs = append(errs, errors.New("drain: must not be negative"))
	}
	return errors.Join(errs...)
}

// serve wires the service and runs it until the context ends and it has drained.
func serve(ctx context.Context, c serveConfig, stderr io.Writer) (err error) {
	log, metrics := c.log.logger(stderr), registry()
	store, err := c.store.open(ctx, log, metrics)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c.web.Store, c.web.Logger, c.web.Registry = store, log, metrics
	service, err := web.New(c.web)
	if err != nil {
		return fmt.Errorf("make service: %w", err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.listen, err)
	}
	log.Info("serving", "addr", ln.Addr().String(), "store", c.store.kind, "workers", c.web.Workers, "queue", c.web.Queue)
	return c.run(ctx, ln, service, log)
}

// registry has the metrics of the process, the runtime and the build.
func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	version, revision := build()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "app_build_info",
		Help:        "What the program was built from; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "goversion": runtime.Version()},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// run serves on a listener. Requests do not end with the context: they drain.
func (c serveConfig) run(ctx context.Context, ln net.Listener, service *web.Service, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           service,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       3 * time.Minute, // longer than a balancer keeps an idle connection
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err := c.drainAll(srv, service, log)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", served))
	}
	return err
}

// drainAll withdraws the service, waits for balancers to notice, closes the
// listener and lets open requests finish.
func (c serveConfig) drainAll(srv *http.Server, service *web.Service, log *slog.Logger) error {
	service.Withdraw()
	log.Info("draining", "open", service.Open(), "delay", c.drainDelay)
	time.Sleep(c.drainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), c.drain)
	defer cancel()
	log.Info("closing the listener", "open", service.Open(), "deadline", c.drain)
	if err := srv.Shutdown(ctx); err != nil {
		open := service.Open()
		return errors.Join(fmt.Errorf("drain: %d requests did not finish within %s and are cut off", open, c.drain), srv.Close())
	}
	log.Info("drained")
	return nil
}
