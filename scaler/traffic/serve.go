package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ServerConfig is what the balancer's process needs to know.
type ServerConfig struct {
	Listen  string        // host:port for requests
	Control string        // path of the unix socket
	State   string        // file that the table is kept in; default: Control with .state
	Metrics string        // host:port for /metrics alone; "": on the control socket only
	Check   Check         // how members are asked; zero: as the state file says, else a TCP connect
	Wait    time.Duration // how long a request waits for a member; default 5 s
	Queue   int           // how many requests wait at most; default 1024
	Drain   time.Duration // how long open requests may take once the balancer is told to end; default 30 s
	Version string        // of the program, for people
	Log     *slog.Logger  // default: discards
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.State == "" && c.Control != "" {
		c.State = c.Control + ".state"
	}
	if c.Wait <= 0 {
		c.Wait = 5 * time.Second
	}
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.Drain <= 0 {
		c.Drain = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Serve is the balancer's process: it balances until ctx ends or the control
// socket says stop, then takes no more connections and returns when the open
// requests have ended, or after [ServerConfig] Drain. [ErrRunning] means that
// another balancer has the control socket.
func Serve(ctx context.Context, cfg ServerConfig) error {
	if err := os.MkdirAll(filepath.Dir(cfg.Control), 0o755); err != nil {
		return fmt.Errorf("make folder of the control socket: %w", err)
	}
	lock, err := lockSocket(cfg.Control)
	if err != nil {
		return err
	}
	defer lock.Close()
	b, err := NewBalancer(cfg)
	if err != nil {
		return err
	}
	return b.Run(ctx)
}

// Run listens and balances until ctx ends; see [Serve], which also sees to it
// that there is one balancer a control socket.
func (b *Balancer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.stop = cancel
	front, err := net.Listen("tcp", b.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for requests: %w", err)
	}
	b.about = About{
		API: apiVersion, PID: os.Getpid(), Version: b.cfg.Version,
		Listen: b.cfg.Listen, Addr: front.Addr().String(), Started: time.Now(),
	}
	control, err := listenSocket(b.cfg.Control)
	if err != nil {
		return errors.Join(err, front.Close())
	}
	b.log.Info("balancing", "listen", b.about.Addr, "control", b.cfg.Control, "members", len(b.table.table().Members))
	err = b.serveAll(ctx, cancel, front, control)
	b.log.Info("balancer ended", "err", err)
	return errors.Join(err, os.Remove(b.cfg.Control))
}

// serveAll serves until ctx ends. The front goes first; the control socket and
// the metrics answer until the last request has ended.
func (b *Balancer) serveAll(ctx context.Context, cancel func(), front, control net.Listener) error {
	servers := []*http.Server{b.server(b), b.server(b.Control())}
	listeners := []net.Listener{front, control}
	if b.cfg.Metrics != "" {
		l, err := net.Listen("tcp", b.cfg.Metrics)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for metrics: %w", err), front.Close(), control.Close())
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", b.metricsHandler())
		servers, listeners = append(servers, b.server(mux)), append(listeners, l)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		wg.Go(func() {
			defer cancel() // one that fails ends all
			if err := s.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				errs[i] = fmt.Errorf("serve %s: %w", listeners[i].Addr(), err)
			}
		})
	}
	wg.Go(func() { b.watch(ctx) })
	<-ctx.Done()
	errs = append(errs, b.drain(servers[0]))
	for _, s := range servers[1:] {
		errs = append(errs, shutdown(s, time.Second))
	}
	wg.Wait()
	return errors.Join(errs...)
}

// server bounds nothing but the time a client takes to send its header: bodies
// and answers last as long as their two ends want.
func (b *Balancer) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
}

// drain ends the front: the listener closes, open requests finish, upgraded
// connections (which the server no longer counts) included.
func (b *Balancer) drain(front *http.Server) error {
	deadline := time.Now().Add(b.cfg.Drain)
	err := shutdown(front, b.cfg.Drain)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for err == nil && b.inProgress() > 0 {
		if now := <-tick.C; now.After(deadline) {
			err = context.DeadlineExceeded
		}
	}
	if err != nil {
		return fmt.Errorf("drain: %d requests cut off after %s: %w", b.inProgress(), b.cfg.Drain, err)
	}
	return nil
}

func (b *Balancer) inProgress() int {
	sum := 0
	for _, n := range b.table.openRequests() {
		sum += n
	}
	return sum
}

// shutdown ends a server gracefully, and after d the hard way.
func shutdown(s *http.Server, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}
