package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"flyball/collector/elastic/views"
	"flyball/deploy/demo"
	"flyball/rules/source"
	"flyball/scaler/journal"
	"flyball/scaler/pool"
	"flyball/scaler/traffic"
)

// configFlag adds --config. Without it, flyball.yaml is read if it is there.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "", "configuration file (default flyball.yaml, if there is one)")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// loadConfig reads the configuration, or the default one where there is no file.
func loadConfig(file string) (Config, error) {
	if file == "" {
		if _, err := os.Stat("flyball.yaml"); errors.Is(err, os.ErrNotExist) {
			return DefaultConfig(), nil
		}
		file = "flyball.yaml"
	}
	c, problems := LoadConfig(file)
	if len(problems) > 0 {
		return c, usage(source.Problems(problems))
	}
	return c, nil
}

func runCommand(io stdio) *cobra.Command {
	var file, level string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch, judge and act, until told to end",
		Long: `Run the service. Without a configuration file it watches this host and itself.

SIGHUP and POST /-/reload read configuration and rules again: every part checks
them, then every part takes them over; a mistake leaves all as it was. The
service's end harms no pool member and no request: what it left is taken up at
the next start.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return usage(fmt.Errorf("read --log-level: %w", err))
			}
			log := slog.New(slog.NewTextHandler(io.err, &slog.HandlerOptions{Level: l}))
			a, err := open(c, file, log)
			if err != nil {
				return err
			}
			return errors.Join(a.run(cmd.Context()), a.close())
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration and rules, and show every mistake in them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			set, err := loadRules(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "good; pools: %d, scale rules: %d, files of Prometheus rules: %d\n",
				len(c.Pools), len(set.Scale), len(set.Groups))
			return err
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "schema [config | scale | views]",
		Short:     "Print the JSON Schema of flyball.yaml, of *.scale.yaml or of *.views.yaml, for editors",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"config", "scale", "views"},
		RunE: func(cmd *cobra.Command, args []string) error {
			schema := configSchema
			switch {
			case len(args) == 0:
			case args[0] == "scale":
				schema = source.ScaleSchema
			case args[0] == "views":
				schema = views.Schema
			}
			_, err := cmd.OutOrStdout().Write(schema())
			return err
		},
	}
}

func balanceCommand(io stdio) *cobra.Command {
	c := traffic.ServerConfig{Version: version}
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Balance requests over a pool's members (Flyball starts this by itself)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Log = slog.New(slog.NewTextHandler(io.err, nil))
			return traffic.Serve(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address for requests")
	f.StringVar(&c.Control, "control", "balance.sock", "unix socket that Flyball speaks to it by")
	f.StringVar(&c.Metrics, "metrics", "", "address for /metrics; by default on the control socket only")
	f.StringVar(&c.Check.HTTP, "ready", "", "path that members are asked by; by default a TCP connection")
	f.DurationVar(&c.Drain, "drain", 30*time.Second, "how long open requests may take at the end")
	return cmd
}

func demoCommand() *cobra.Command {
	o := demo.Options{Sweep: sweep}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole loop on this machine: a pool, a load that rises and falls, and a kill -9",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(o.Validate(), idleFlags(o, cmd.Flags().Changed)); err != nil {
				return usage(err)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Self = self
			if o.App == "" {
				o.App = filepath.Join(filepath.Dir(self), "app")
			}
			if _, err := os.Stat(o.App); err != nil {
				return fmt.Errorf("find the app that the demo runs: %w (build it by `make build`, or name it by --app)", err)
			}
			o.Out = cmd.OutOrStdout()
			if f, ok := o.Out.(*os.File); ok {
				o.Terminal = term.IsTerminal(int(f.Fd()))
				o.Color = o.Terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return demo.Run(ctx, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", "127.0.0.1:9480", "Flyball's address; another one if it is taken")
	f.StringVar(&o.App, "app", "", "the app program (default: app beside flyball)")
	f.StringVar(&o.Pool, "pool", demo.Processes, "what the members are: process, or container, behind HAProxy")
	f.StringVar(&o.Socket, "socket", "unix:///run/docker.sock", "socket of the container engine")
	f.StringVar(&o.Network, "network", "", "network of the engine that the members join (default: the engine's own)")
	f.StringVar(&o.Store, "store", demo.SQLite, "where the app keeps its products: sqlite or cassandra")
	f.StringVar(&o.Cassandra, "cassandra", "127.0.0.1:9042", "host:port of a Cassandra node, as the members reach it")
	f.StringVar(&o.Elasticsearch, "elasticsearch", "", "address of an Elasticsearch, e.g. http://127.0.0.1:9200, that all goes to and the rule's signal is read from")
	f.StringVar(&o.Replication, "replication", "datacenter1=1", "replicas of the demo's keyspace by data centre")
	f.BoolVar(&o.Once, "once", false, "play the script once, then end")
	f.StringVar(&o.Report, "report", "", "write a report as JSON to this file")
	return cmd
}

// idleFlags names flags of the demo that were given and say nothing beside the others.
func idleFlags(o demo.Options, given func(flag string) bool) error {
	var errs []error
	for _, f := range []struct {
		name, needs string
		idle        bool
	}{
		{"socket", "--pool " + demo.Containers, o.Pool != demo.Containers},
		{"network", "--pool " + demo.Containers, o.Pool != demo.Containers},
		{"cassandra", "--store " + demo.Cassandra, o.Store != demo.Cassandra},
		{"replication", "--store " + demo.Cassandra, o.Store != demo.Cassandra},
	} {
		if f.idle && given(f.name) {
			errs = append(errs, fmt.Errorf("--%s says nothing without %s", f.name, f.needs))
		}
	}
	return errors.Join(errs...)
}

// poolEndCommand ends what outlives the service. It holds the data folder
// meanwhile, so that no service acts on the same members.
func poolEndCommand() *cobra.Command {
	var file string
	cmd := usageOf(&cobra.Command{
		Use:   "end POOL",
		Short: "End all members of a pool, and its balancer, while the service is stopped",
		Long: `A pool's members and its balancer outlive the service, so that its end harms no
request. This ends them: open requests may finish first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			p, ok := c.Pools[args[0]]
			if !ok {
				return usage(fmt.Errorf("there is no pool %q in the configuration", args[0]))
			}
			j, err := journal.Open(c.Data, journal.Options{})
			if err != nil {
				return fmt.Errorf("take the data folder: %w (stop the service first)", err)
			}
			err = end(cmd.Context(), args[0], p, c.Data)
			noted := map[string]string{"act": "end", "outcome": "all members have ended"}
			if err != nil {
				noted["outcome"] = err.Error()
			}
			return errors.Join(err, j.Note(journal.Life, "pool/"+args[0], now(), noted), j.Close())
		},
	}, cobra.ExactArgs(1))
	configFlag(cmd, &file)
	return cmd
}

// end ends a pool's members and its balancer.
func end(ctx context.Context, name string, c pool.Config, data string) error {
	p, err := pool.New(name, c, pool.Env{DataDir: data})
	if err == nil {
		err = p.Sweep(ctx)
	}
	if err != nil {
		return fmt.Errorf("end pool %s: %w", name, err)
	}
	return nil
}

// sweep ends whatever the pools of a configuration still run, and counts the
// pools that would not end.
func sweep(ctx context.Context, file string) (left int, err error) {
	c, err := loadConfig(file)
	if err != nil {
		return 0, err
	}
	var errs []error
	for name, p := range c.Pools {
		if err := end(ctx, name, p, c.Data); err != nil {
			left++
			errs = append(errs, err)
		}
	}
	return left, errors.Join(errs...)
}
