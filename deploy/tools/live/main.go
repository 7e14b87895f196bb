// Command live proves on a real cloud, with an account of yours, that a pool's members
// are made, become ready, drain and end: at most three of the smallest machines, for at
// most half an hour and one unit of money. Whatever happens, it ends what it made, and
// writes a report. `make live-do` and `make live-gce` run it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"flyball/scaler/pool"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/gce"
)

// The limits of a trial.
const (
	mostMembers = 3
	mostMoney   = 1.0 // of the price's currency
	mostTime    = 30 * time.Minute
	cleanTime   = 15 * time.Minute // beside it
)

// options are what the command line says.
type options struct {
	cloud, endpoint, report        string
	tokenFile, region, size, image string
	credentialsFile, project, zone string
	group                          string
	price                          float64
	port                           int
	address                        string
	pace                           time.Duration
	transport                      http.RoundTripper
	dir                            string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := options{pace: 5 * time.Second}
	flag.StringVar(&o.cloud, "cloud", "digitalocean", "digitalocean or gce")
	flag.StringVar(&o.endpoint, "endpoint", "", "where the API is, if not at the cloud itself")
	flag.StringVar(&o.report, "report", "live.json", "file for the report")
	flag.StringVar(&o.tokenFile, "token-file", "", "digitalocean: file with the API token")
	flag.StringVar(&o.region, "region", "fra1", "digitalocean: region of the members")
	flag.StringVar(&o.size, "size", "s-1vcpu-512mb-10gb", "digitalocean: size of the members")
	flag.StringVar(&o.image, "image", "ubuntu-24-04-x64", "digitalocean: image of the members")
	flag.StringVar(&o.credentialsFile, "credentials-file", "", "gce: key of a service account (default: the machine's own)")
	flag.StringVar(&o.project, "project", "", "gce: project of the group")
	flag.StringVar(&o.zone, "zone", "", "gce: zone of the group")
	flag.StringVar(&o.group, "group", "", "gce: a managed instance group of small machines that is empty and that nobody else resizes")
	flag.Float64Var(&o.price, "price", 0, "what a member costs an hour, where the cloud does not say")
	flag.IntVar(&o.port, "port", 22, "port at which members answer once they are up")
	flag.StringVar(&o.address, "address", "", "which address of a member is asked: public or private at digitalocean, external or internal at gce (default: the first)")
	flag.Parse()
	if err := run(ctx, o, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

// run makes a trial and writes its report, of a failure as well.
func run(ctx context.Context, o options, log *slog.Logger) error {
	c, err := o.config()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "flyball-live-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	defer os.RemoveAll(dir)
	name := "live-" + strconv.FormatInt(time.Now().Unix(), 36)
	p, err := pool.New(name, c, pool.Env{DataDir: dir, Log: log, Transport: o.transport})
	if err != nil {
		return err
	}
	t := &trial{name: name, pool: p, o: o, log: log, report: report{Cloud: o.cloud, Pool: name, Begun: time.Now().UTC()}}
	err = t.play(ctx)
	if err != nil {
		t.report.Error = err.Error()
	}
	t.report.OK, t.report.Took = err == nil, time.Since(t.report.Begun).Round(time.Second).String()
	raw, _ := json.MarshalIndent(t.report, "", "  ")
	return errors.Join(err, os.WriteFile(o.report, append(raw, '\n'), 0o644))
}

// config is the pool that is tried.
func (o options) config() (pool.Config, error) {
	c := pool.Config{Ready: pool.Ready{TCP: true, Interval: o.pace / 2}, Drain: o.pace}
	switch o.cloud {
	case "digitalocean":
		if o.tokenFile == "" {
			return c, errors.New("name the file that has the API token alone, by TOKEN_FILE")
		}
		if o.address == "" {
			o.address = "public"
		}
		c.DigitalOcean = &digitalocean.Config{
			TokenFile: o.tokenFile, Endpoint: o.endpoint, Port: o.port, Address: o.address,
			Droplets: &digitalocean.Droplets{
				Regions: []string{o.region}, Sizes: []string{o.size}, Image: o.image, TrafficTag: "flyball-live-traffic",
			},
		}
	case "gce":
		if o.project == "" || o.zone == "" || o.group == "" {
			return c, errors.New("name an empty group, by PROJECT, ZONE, GROUP and PRICE")
		}
		if o.address == "" {
			o.address = "external"
		}
		c.GCE = &gce.Config{
			Project: o.project, Zone: o.zone, Group: o.group, Mode: "direct", Port: o.port, Address: o.address,
			CredentialsFile: o.credentialsFile, Endpoint: o.endpoint,
		}
	default:
		return c, fmt.Errorf("there is no cloud %q: write digitalocean or gce", o.cloud)
	}
	return c, nil
}
