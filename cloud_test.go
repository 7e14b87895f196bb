package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool"
	"flyball/scaler/pool/digitalocean"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/gce"
	"flyball/scaler/traffic"
)

// scaleIns is how many members are ended under load: a sample, or as many as
// FLYBALL_SCALE_INS says.
func scaleIns() int {
	if n, err := strconv.Atoi(os.Getenv("FLYBALL_SCALE_INS")); err == nil && n > 0 {
		return n
	}
	return 30
}

// TestNoRequestFailsWhileMembersOfACloudAreEnded grows and shrinks pools of emulated
// clouds, whose machines run the real app, behind Flyball's own balancer, while
// requests never cease.
func TestNoRequestFailsWhileMembersOfACloudAreEnded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	app := buildApp(t, t.TempDir())
	for _, kind := range []string{"droplets", "group"} {
		t.Run(kind, func(t *testing.T) {
			c := newLoadedCloud(t, kind, app)
			requests := c.request()
			ended := 0
			for ended < scaleIns()/2 {
				before := c.resize(17)
				after := c.resize(2)
				ended += before - after
			}
			sent, failed, first := requests()
			t.Logf("%d members were ended, %d requests sent, %d failed", ended, sent, failed)
			if failed > 0 || sent < 100*ended/5 {
				t.Errorf("%d of %d requests failed while %d members were ended, first: %s", failed, sent, ended, first)
			}
		})
	}
}

// A loadedCloud is an emulated cloud whose machines run on this one, a pool of it and
// the loop that resizes it.
type loadedCloud struct {
	*testing.T
	balance string
	pool    *pool.Pool
	roster  *scaler.Roster
	wanted  atomic.Int64 // members
	wake    chan struct{}
}

const cloudToken = "token-of-an-emulator"

func newLoadedCloud(t *testing.T, kind, app string) *loadedCloud {
	t.Helper()
	dir := t.TempDir()
	port := freePort(t)
	machines := newLocalMachines(fmt.Sprintf("%s serve --listen {addr}:%s --db %s/app.db --workers 4 --service-time 5ms", app, port, dir), 0, io.Discard)
	world := emulate.NewWorld(emulate.Options{Seed: 1, Machines: machines, BootMin: 200 * time.Millisecond, BootMax: 500 * time.Millisecond})
	c := &loadedCloud{T: t, balance: freeAddress(t), roster: scaler.NewRoster(), wake: make(chan struct{})}
	conf := pool.Config{
		Drain: 5 * time.Second, Ready: pool.Ready{HTTP: "/readyz", Interval: 100 * time.Millisecond},
		Traffic: &traffic.Config{Balance: c.balance},
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	env := pool.Env{DataDir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if kind == "droplets" {
		file := filepath.Join(dir, "token")
		if err := os.WriteFile(file, []byte(cloudToken), 0o600); err != nil {
			t.Fatal(err)
		}
		env.Transport = emulate.NewDigitalOcean(world, emulate.DigitalOceanOptions{Token: cloudToken}).Transport()
		conf.DigitalOcean = &digitalocean.Config{TokenFile: file, Port: n, Endpoint: "https://do.test", Droplets: &digitalocean.Droplets{
			Regions: []string{"fra1"}, Sizes: []string{"s-1vcpu-1gb"}, Image: "ubuntu-24-04-x64",
		}}
	} else {
		env.Transport = withToken{emulate.NewCompute(world, emulate.ComputeOptions{Project: "shop-12345", Groups: []emulate.ComputeGroup{
			{Name: "web", Zone: "europe-west3-a", OnFailure: "DO_NOTHING"},
		}}).Transport()}
		conf.GCE = &gce.Config{Project: "shop-12345", Zone: "europe-west3-a", Group: "web", Mode: "direct", Port: n, Endpoint: "http://compute.test"}
	}
	if c.pool, err = pool.New("web", conf, env); err != nil {
		t.Fatal(err)
	}
	c.run(world, dir, env.Log)
	t.Cleanup(machines.close)
	t.Cleanup(world.Close)
	return c
}

// withToken sends requests with a token, as an emulator of Google's wants them.
type withToken struct{ next http.RoundTripper }

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+cloudToken)
	return w.next.RoundTrip(r)
}

// run starts all that runs, and ends it with the test.
func (c *loadedCloud) run(world *emulate.World, dir string, log *slog.Logger) {
	j, err := journal.Open(dir, journal.Options{})
	if err != nil {
		c.Fatal(err)
	}
	s := scaler.New(scaler.Options{
		Querier: c, Journal: j, Roster: c.roster, Wake: c.wake, Logger: log, Registerer: prometheus.NewRegistry(),
	})
	rule := rules.Scale{
		Pool: "web", Rule: "web.scale.yaml:2", Mode: rules.Act, Min: 2, Max: 18,
		Signals: []rules.Signal{{Name: "wanted", Query: rules.PromQL{Pool: "web", Expr: "wanted"}, Scope: rules.PerMember, Share: 1}},
		Out:     rules.Pace{Limit: rules.Limit{LargerOf: []rules.Amount{{Members: 18}}, Every: time.Second}},
		In:      rules.Pace{Window: time.Second, Limit: rules.Limit{LargerOf: []rules.Amount{{Members: 18}}, Every: time.Second}},
		Warmup:  time.Second, Missing: rules.Missing{Coverage: 0.8, Stale: 15 * time.Second, Hold: time.Minute},
	}
	c.wanted.Store(2)
	s.Apply(map[string]scaler.Unit{"web": c.pool.Unit()}, []rules.Scale{rule})
	ctx, cancel := context.WithCancel(context.Background())
	var alive sync.WaitGroup
	for _, run := range []func(context.Context) error{s.Run, c.pool.Run, world.Run} {
		alive.Go(func() { _ = run(ctx) }) // ends without an error
	}
	c.Cleanup(func() {
		cancel()
		alive.Wait()
		within, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.pool.Sweep(within); err != nil {
			c.Error(err)
		}
		if err := j.Close(); err != nil {
			c.Error(err)
		}
	})
}

// Query answers what is wanted, shared by the members that are ready.
func (c *loadedCloud) Query(_ context.Context, _ rules.Query, at time.Time) (rules.Reading, error) {
	r := rules.Reading{Seen: map[string]time.Time{}, Newest: at}
	for _, m := range c.roster.Members()["web"] {
		if m.State == rules.Ready {
			r.Points = append(r.Points, rules.Point{Member: m.Name})
			r.Seen[m.Name] = at
		}
	}
	for i := range r.Points {
		r.Points[i].Value = (float64(c.wanted.Load()) - 0.3) / float64(len(r.Points))
	}
	if len(r.Points) == 0 {
		return r, rules.ErrNoData
	}
	return r, nil
}

// resize has the pool come to a size, and returns it: all ready, in rotation, and
// nobody else there that is not about to end.
func (c *loadedCloud) resize(size int) int {
	c.Helper()
	c.wanted.Store(int64(size))
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		select {
		case c.wake <- struct{}{}:
		case <-time.After(100 * time.Millisecond):
		}
		ready, others := 0, 0
		for _, m := range c.roster.Members()["web"] {
			switch {
			case m.State == rules.Ready && m.Open != nil:
				ready++
			case m.State != rules.Leaving:
				others++
			}
		}
		if ready == size && others == 0 {
			return size
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.Fatalf("the pool did not come to %d members: %v", size, c.roster.Members()["web"])
	return 0
}

// request sends requests to the balancer until what it returns is called, which says
// how many there were, how many of them failed, and how the first did.
func (c *loadedCloud) request() func() (sent, failed int, first string) {
	c.resize(2)
	ctx, cancel := context.WithCancel(c.Context())
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	var mu sync.Mutex
	var sent, failed int
	var first string
	var alive sync.WaitGroup
	for range 6 {
		alive.Go(func() {
			for ctx.Err() == nil {
				why := get(client, "http://"+c.balance+"/api/products")
				mu.Lock()
				sent++
				if why != "" {
					failed++
				}
				if failed == 1 && first == "" {
					first = why
				}
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	return func() (int, int, string) {
		cancel()
		alive.Wait()
		client.CloseIdleConnections()
		return sent, failed, first
	}
}

// get asks once, to the end; "" means that it was answered.
func get(client *http.Client, url string) string {
	res, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err.Error()
	}
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return ""
}
