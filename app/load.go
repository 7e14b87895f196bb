package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flyball/app/load"
)

// loadConfig is what the flags of `load` say.
type loadConfig struct {
	url       string
	users     string
	length    time.Duration
	rate      string
	trace     string
	timeScale float64
	peak      float64
	mix       string
	progress  string
	json      string
	strict    bool
	run       load.Config
}

// defaultStep is how long each step of users lasts.
const defaultStep = 30 * time.Second

func loadCommand() *cobra.Command {
	var c loadConfig
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Make load and measure the answers",
		Long: `Make load and measure the answers. Nothing is retried; a failed request is any
answer but the expected one. Ctrl-C ends the load early and prints the result.

Give one of --users (closed model), --rate or --trace (open model).`,
		Example: `  app load --url http://127.0.0.1:8080 --users 4,50,150 --for 30s
  app load --rate '10@20s,10-64@10s,64@60s,64-10@10s,10@80s' --json -
  app load --trace requests.csv.gz --time-scale 60 --peak 100 --for 5m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.prepare(); err != nil {
				return fmt.Errorf("%w (%w)", err, errUsage)
			}
			return c.load(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.url, "url", "http://127.0.0.1:8080", "where the app is")
	f.StringVar(&c.users, "users", "", "users: steps such as 4,50,150 or a ramp such as 1..150")
	f.DurationVar(&c.length, "for", 0, "length of each step of users (30s) or of the ramp; cuts --rate and --trace")
	f.StringVar(&c.rate, "rate", "", "requests per second: 10@20s,10-64@10s,...")
	f.StringVar(&c.trace, "trace", "", "file of requests over time, .csv or .csv.gz")
	f.Float64Var(&c.timeScale, "time-scale", 1, "how much faster the trace's time passes; its rates stay")
	f.Float64Var(&c.peak, "peak", 0, "scale --rate or --trace so that its highest rate is this; 0 leaves it")
	f.BoolVar(&c.run.Poisson, "poisson", false, "open model: at random times, not evenly")
	f.IntVar(&c.run.Most, "outstanding", 1000, "open model: requests outstanding at most; beyond it they fail unsent")
	f.StringVar(&c.mix, "mix", "create=10,read=70,update=15,delete=5", "shares of the operations")
	f.Uint64Var(&c.run.Seed, "seed", 1, "of the order of the operations and of --poisson")
	f.DurationVar(&c.run.Timeout, "timeout", 10*time.Second, "of one request")
	f.StringVar(&c.progress, "progress", "text", "each second: text on stderr, json on stdout, or none")
	f.StringVar(&c.json, "json", "", "write the result as JSON to a file; - is stdout")
	f.BoolVar(&c.strict, "strict", false, "exit with 1 if a request failed")
	return cmd
}

// prepare reads what the flags say.
func (c *loadConfig) prepare() (err error) {
	given := 0
	for _, s := range []string{c.users, c.rate, c.trace} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("give exactly one of --users, --rate and --trace")
	}
	if c.progress != "text" && c.progress != "json" && c.progress != "none" {
		return fmt.Errorf("progress %q: must be text, json or none", c.progress)
	}
	if c.peak < 0 || c.length < 0 {
		return errors.New("--peak and --for must not be negative")
	}
	if c.run.Mix, err = load.ParseMix(c.mix); err != nil {
		return err
	}
	if c.users != "" {
		length := c.length
		if length == 0 {
			length = defaultStep
		}
		c.run.Users, err = load.ParseUsers(c.users, length)
	} else {
		err = c.profile()
	}
	c.run.Prefix = "load-" + strings.ToLower(rand.Text()[:10]) + "-"
	return errors.Join(err, c.run.Validate())
}

func (c *loadConfig) profile() (err error) {
	if c.rate != "" {
		c.run.Profile, err = load.ParseRate(c.rate)
	} else {
		c.run.Profile, err = load.ReadTrace(c.trace, c.timeScale)
	}
	c.run.Profile = c.run.Profile.Cut(c.length).Peak(c.peak)
	return err
}

// load makes the load, tells of it and writes the result.
func (c *loadConfig) load(ctx context.Context, stdout, stderr io.Writer) error {
	client, err := load.NewClient(c.url, max(c.run.Most, load.MaxUsers))
	if err != nil {
		return err
	}
	defer client.Close()
	switch c.progress {
	case "text":
		c.run.Progress = func(p load.Progress) { fmt.Fprintln(stderr, p) }
	case "json":
		enc := json.NewEncoder(stdout)
		c.run.Progress = func(p load.Progress) { _ = enc.Encode(p) } // whoever read it may have gone; the load goes on
	}
	res, err := load.Run(ctx, c.run, client)
	if err != nil {
		return err
	}
	if err := c.write(res, stdout, stderr); err != nil {
		return err
	}
	if c.strict && res.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed", res.Failed, res.Requests)
	}
	return nil
}

// write gives the result as text, and as JSON where it is wanted. The text goes to
// stderr where stdout is JSON.
func (c *loadConfig) write(res load.Result, stdout, stderr io.Writer) error {
	people := stdout
	if c.json == "-" || c.progress == "json" {
		people = stderr
	}
	if err := res.Text(people); err != nil {
		return err
	}
	if c.json == "" {
		return nil
	}
	b, err := json.Marshal(res)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	b = append(b, '\n')
	if c.json == "-" {
		_, err = stdout.Write(b)
	} else {
		err = os.WriteFile(c.json, b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
