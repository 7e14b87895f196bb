package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"flyball/collector/exporter"
)

// workers is how many calls to an engine are under way at once, at most.
const workers = 16

// An engine is who runs the containers. It is safe for concurrent use.
type engine struct {
	socket string
	turn   turn // of who meets the engine
	client *client.Client
	spoken string                 // the version of the API that the engine told of when client was made
	podman atomic.Pointer[string] // its version if it is podman
}

func newEngine(socket string) *engine { return &engine{socket: socket, turn: newTurn()} }

// A turn is a lock that is waited for no longer than a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return told("wait for a call to the engine that is under way", ctx.Err())
	}
}

func (t turn) give() { <-t }

// reach makes sure that the engine answers, and gives a client that speaks its
// version of the API. An engine that was replaced by another version, which may
// refuse what the old one took, is met anew.
func (e *engine) reach(ctx context.Context) (*client.Client, error) {
	if err := e.turn.take(ctx); err != nil {
		return nil, err
	}
	defer e.turn.give()
	if e.client != nil {
		ping, err := e.client.Ping(ctx, client.PingOptions{})
		if err != nil {
			return nil, told("reach the engine", err)
		}
		if ping.APIVersion == e.spoken {
			return e.client, nil
		}
	}
	return e.meet(ctx)
}

// meet agrees with the engine on a version of the API.
func (e *engine) meet(ctx context.Context) (*client.Client, error) {
	c, err := dial(e.socket, client.WithResponseHook(e.heard))
	if err != nil {
		return nil, err
	}
	ping, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		c.Close()
		return nil, told("reach the engine", err)
	}
	if e.client != nil {
		e.client.Close()
	}
	e.client, e.spoken = c, ping.APIVersion
	return c, nil
}

// heard takes the engine's own version from each of its answers.
func (e *engine) heard(r *http.Response) {
	version := r.Header.Get("Libpod-Api-Version")
	e.podman.Store(&version)
}

// swapsTraffic reports whether the engine takes what a container sends for what
// it receives: podman did until 4.4.
func (e *engine) swapsTraffic() bool {
	version := e.podman.Load()
	if version == nil {
		return false
	}
	var major, minor int
	if _, err := fmt.Sscanf(*version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major < 4 || major == 4 && minor < 4
}

// close closes idle connections; the engine can be reached again.
func (e *engine) close() error {
	if err := e.turn.take(context.Background()); err != nil {
		return err
	}
	defer e.turn.give()
	if e.client == nil {
		return nil
	}
	return e.client.Close()
}

// told says what failed, and gives the error its reason. The API's own reasons
// are not those of the network.
func told(doing string, err error) error {
	if err == nil {
		return nil
	}
	if u := (unreachable{}); errors.As(err, &u) {
		err = u // without what the client says around it
	}
	return exporter.Because(reason(err), fmt.Errorf("%s: %w", doing, err))
}

func reason(err error) string {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	known := exporter.Reason(err)
	switch {
	case known != exporter.Broken:
		return known
	case errdefs.IsNotFound(err):
		return exporter.Missing
	case errdefs.IsUnauthorized(err):
		return exporter.Denied
	case errdefs.IsPermissionDenied(err):
		return exporter.Permission
	case errors.As(err, &syntax), errors.As(err, &mistyped), errdefs.IsInvalidArgument(err):
		return exporter.Protocol
	case client.IsErrConnectionFailed(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return exporter.Refused
	}
	return exporter.Broken
}

// each calls f for every id, for at most [workers] at once. The error is the first
// that there was, with how many more.
func each(ids []string, f func(id string) error) error {
	var all errgroup.Group
	all.SetLimit(workers)
	var mu sync.Mutex
	var first error
	more := -1
	for _, id := range ids {
		all.Go(func() error {
			if err := f(id); err != nil {
				mu.Lock()
				defer mu.Unlock()
				more++
				if first == nil {
					first = err
				}
			}
			return nil
		})
	}
	_ = all.Wait() // none gives an error
	if more > 0 {
		return fmt.Errorf("%w (and %d more)", first, more)
	}
	return first
}
