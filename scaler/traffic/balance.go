package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"flyball/rules"
	"flyball/scaler"
)

var _ scaler.Traffic = (*Balance)(nil)

// BalanceConfig is what Flyball's side of the balancer needs to know.
type BalanceConfig struct {
	Listen  string // host:port at which the balancer is to take requests
	Control string // path of its unix socket
	Check   Check  // how it asks members
	// Command starts the balancer's process; default: this program's own
	// `balance` subcommand. --listen, --control and the check's --ready are added.
	Command []string
	Output  string       // file for what the process prints; default: Control with .log
	Log     *slog.Logger // default: discards
}

// Balance is a pool's traffic through Flyball's own balancer, a process that
// outlives Flyball. It implements [scaler.Traffic] and is safe for concurrent use.
// Where no balancer answers, every call starts one first.
type Balance struct {
	cfg  BalanceConfig
	http *http.Client

	mu    sync.Mutex // one Ensure or Stop at a time
	child int        // pid of a process that we started and have not reaped; 0 is none
}

// NewBalance returns a client; nothing is started yet.
func NewBalance(c BalanceConfig) *Balance {
	if c.Output == "" {
		c.Output = c.Control + ".log"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, c.Control) }
	return &Balance{cfg: c, http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   5 * time.Second,
	}}
}

// Admit puts members into rotation; those already there stay.
func (b *Balance) Admit(ctx context.Context, ms []rules.Member) error {
	return b.patch(ctx, Change{Admit: rows(ms)})
}

// Withdraw takes members out of rotation. When it returns, no request is picked
// for them any more, and Open tells of those in progress.
func (b *Balance) Withdraw(ctx context.Context, ms []rules.Member) error {
	return b.patch(ctx, Change{Withdraw: rows(ms)})
}

func (b *Balance) patch(ctx context.Context, c Change) error {
	if len(c.Admit) == 0 && len(c.Withdraw) == 0 {
		return nil
	}
	if err := b.call(ctx, http.MethodPatch, "/members", c, nil); err != nil {
		return fmt.Errorf("change rotation: %w", err)
	}
	return nil
}

func rows(ms []rules.Member) []Member {
	rs := make([]Member, 0, len(ms))
	for _, m := range ms {
		rs = append(rs, Member{ID: m.ID, Name: m.Name, Addr: m.Addr})
	}
	return rs
}

// Open counts requests in progress per member that the balancer knows.
func (b *Balance) Open(ctx context.Context) (map[rules.MemberID]int, error) {
	open := map[rules.MemberID]int{}
	if err := b.call(ctx, http.MethodGet, "/open", nil, &open); err != nil {
		return nil, fmt.Errorf("count open requests: %w", err)
	}
	return open, nil
}

// Members is the balancer's table as it is.
func (b *Balance) Members(ctx context.Context) ([]Member, error) {
	var tb Table
	if err := b.call(ctx, http.MethodGet, "/members", nil, &tb); err != nil {
		return nil, fmt.Errorf("list members of the balancer: %w", err)
	}
	return tb.Members, nil
}

// call asks the balancer, starting it where none answers.
func (b *Balance) call(ctx context.Context, method, path string, in, out any) error {
	err := b.ask(ctx, method, path, in, out)
	if !absent(err) {
		return err
	}
	if err := b.Ensure(ctx); err != nil {
		return err
	}
	return b.ask(ctx, method, path, in, out)
}

func (b *Balance) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://balancer"+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	res, err := b.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the balancer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // the status is error enough
		return fmt.Errorf("ask the balancer: %s: %s", res.Status, strings.TrimSpace(string(text)))
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("decode the balancer's answer: %w", err)
	}
	return nil
}

// absent reports whether err says that nobody listens on the control socket.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
