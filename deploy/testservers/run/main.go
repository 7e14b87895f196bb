// Run starts real servers on loopback, says how to reach them, and stops them on
// Ctrl-C. Nothing of them is left then.
//
//	go run ./run [-nodes 3] [postgres] [cassandra] [haproxy] [podman] [elasticsearch]
//
// Without names it starts all that are installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"flyball/deploy/testservers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// run starts what args name, and returns once ctx is done and all is gone.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	nodes := flags.Int("nodes", 1, "nodes of the Cassandra ring, 1 to 3")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(kinds(*nodes), flags.Args())
	if err != nil {
		return err
	}
	g, err := testservers.NewGroup()
	if err != nil {
		return err
	}
	err = startAll(ctx, g, chosen, flags.NArg() == 0, out)
	if err == nil {
		fmt.Fprintln(out, "\nCtrl-C stops them and removes what they wrote")
		<-ctx.Done()
	}
	fmt.Fprintln(out, "\nstopping")
	if ctx.Err() != nil {
		err = nil // what was cut short is no failure
	}
	return errors.Join(err, g.Close())
}

// choose returns the kinds called names, or all if there are none.
func choose(all []kind, names []string) ([]kind, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []kind
	for _, name := range names {
		i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
		if i < 0 {
			return nil, fmt.Errorf("start %s: there are postgres, cassandra, haproxy, podman and elasticsearch", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// startAll starts servers one after another, and says how to reach each. Those
// that are not installed are left out if lenient.
func startAll(ctx context.Context, g *testservers.Group, chosen []kind, lenient bool, out io.Writer) error {
	started := 0
	for _, k := range chosen {
		began := time.Now()
		fmt.Fprintf(out, "%s: starting\n", k.name)
		ways, err := k.start(ctx, g)
		var missing *testservers.Missing
		if lenient && errors.As(err, &missing) {
			fmt.Fprintf(out, "%s: left out: %v\n", k.name, missing)
			continue
		}
		if err != nil {
			return err
		}
		started++
		fmt.Fprintf(out, "%s: serves after %.1f s\n", k.name, time.Since(began).Seconds())
		for _, w := range ways {
			fmt.Fprintf(out, "    %-12s %s\n", w.what, w.how)
		}
	}
	if started == 0 {
		return errors.New("start servers: none is installed")
	}
	return nil
}

// A kind is a server that can be started.
type kind struct {
	name  string
	start func(ctx context.Context, g *testservers.Group) ([]way, error)
}

// A way is one line on how to reach a server.
type way struct{ what, how string }

func kinds(nodes int) []kind {
	return []kind{
		{"postgres", postgres},
		{"cassandra", func(ctx context.Context, g *testservers.Group) ([]way, error) { return cassandra(ctx, g, nodes) }},
		{"haproxy", haproxy},
		{"podman", podman},
		{"elasticsearch", elasticsearch},
	}
}

func postgres(ctx context.Context, g *testservers.Group) ([]way, error) {
	p, err := g.StartPostgres(ctx)
	if err != nil {
		return nil, err
	}
	s, err := g.StartStandby(ctx, p, "standby")
	if err != nil {
		return nil, err
	}
	return []way{
		{"primary", p.DSN("postgres", "", "postgres")},
		{"", fmt.Sprintf("psql -h %s -p %s -U postgres", p.SocketDir(), p.Port())},
		{"standby", s.DSN("postgres", "", "postgres")},
		{"users", "postgres needs no password; others none on the socket, theirs on TCP"},
		{"logs", p.LogFile() + " " + s.LogFile()},
	}, nil
}

func cassandra(ctx context.Context, g *testservers.Group, nodes int) ([]way, error) {
	c, err := g.StartCassandra(ctx, testservers.CassandraOptions{Nodes: nodes, Auth: true})
	if err != nil {
		return nil, err
	}
	var hosts, logs []string
	for i := range c.Hosts() {
		hosts, logs = append(hosts, c.Addr(i)), append(logs, c.Node(i).LogFile())
	}
	return []way{
		{"CQL", strings.Join(hosts, " ")},
		{"user", "cassandra, with password cassandra"},
		{"logs", strings.Join(logs, " ")},
	}, nil
}

// haproxyConfig has a page, statistics for people and metrics for Prometheus, and
// an empty backend for the Runtime API to fill.
const haproxyConfig = `
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 2s
    timeout queue 10s
frontend web
    bind 127.0.0.1:{{port "web"}}
    default_backend app
backend app
    balance roundrobin
frontend stats
    bind 127.0.0.1:{{port "stats"}}
    http-request use-service prometheus-exporter if { path /metrics }
    stats enable
    stats uri /
`

func haproxy(ctx context.Context, g *testservers.Group) ([]way, error) {
	h, err := g.StartHAProxy(ctx, haproxyConfig)
	if err != nil {
		return nil, err
	}
	return []way{
		{"web", "http://" + h.Addr("web") + "/ (backend app has no servers yet)"},
		{"statistics", "http://" + h.Addr("stats") + "/"},
		{"metrics", "http://" + h.Addr("stats") + "/metrics"},
		{"runtime API", h.Socket()},
		{"settings", h.Config()},
		{"log", h.LogFile()},
	}, nil
}

func podman(ctx context.Context, g *testservers.Group) ([]way, error) {
	p, err := g.StartPodman(ctx)
	if err != nil {
		return nil, err
	}
	return []way{
		{"API", "DOCKER_HOST=" + p.Socket()},
		{"command", p.Client()},
		{"network", p.Network() + " " + p.Subnet()},
		{"log", p.LogFile()},
	}, nil
}

func elasticsearch(ctx context.Context, g *testservers.Group) ([]way, error) {
	e, err := g.StartElasticsearch(ctx)
	if err != nil {
		return nil, err
	}
	return []way{{"URL", e.URL()}, {"log", e.LogFile()}}, nil
}
