package digitalocean

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/transport"
)

// requestTime bounds one request.
const requestTime = 20 * time.Second

// Options are what [Accounts] are made with.
type Options struct {
	Metrics   *Metrics          // nil: nothing is counted
	Log       *slog.Logger      // default: discards
	Now       func() time.Time  // default: time.Now
	Transport http.RoundTripper // what carries requests; default: [transport.New]
}

// Accounts are shared by all pools of a program, so that those of one token share
// its budget and one list of Droplets. They are safe for concurrent use.
type Accounts struct {
	o   Options
	mu  sync.Mutex
	all map[[2]string]*account // by token file and endpoint
}

// NewAccounts returns accounts of which none was asked yet.
func NewAccounts(o Options) *Accounts {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = transport.New()
	}
	return &Accounts{o: o, all: map[[2]string]*account{}}
}

// of returns the account that c names, the same for all who name it.
func (as *Accounts) of(c Config) (*account, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	key := [2]string{filepath.Clean(c.TokenFile), strings.TrimRight(c.Endpoint, "/")}
	if a := as.all[key]; a != nil {
		return a, nil
	}
	a, err := newAccount(key[0], key[1], as.o)
	if err != nil {
		return nil, err
	}
	as.all[key] = a
	return a, nil
}

// An account is one token at one endpoint. It is safe for concurrent use.
//
// It is asked through two clients. read is for looking: its requests are repeated
// when they fail for a reason that passes, and are refused first when calls are
// short. write is for what makes, changes and ends, and for what has to be read
// before a growth: nothing is repeated, and the last calls of an hour are kept for it.
type account struct {
	name   string // the token's file, without its folder: a label
	read   *godo.Client
	write  *godo.Client
	budget *budget
	fleet  *fleet
	now    func() time.Time
	log    *slog.Logger
	real   bool // it is DigitalOcean itself that is asked
}

func newAccount(tokenFile, endpoint string, o Options) (*account, error) {
	a := &account{
		name: filepath.Base(tokenFile), budget: newBudget(o.Now), now: o.Now, log: o.Log, real: endpoint == realEndpoint,
	}
	g := gate{
		next: o.Transport, token: &token{path: tokenFile}, budget: a.budget,
		metrics: o.Metrics, account: a.name, log: o.Log, now: o.Now,
	}
	var err error
	if a.write, err = newClient(endpoint, g); err != nil {
		return nil, err
	}
	g.reads = true
	if a.read, err = newClient(endpoint, g); err != nil {
		return nil, err
	}
	a.fleet = newFleet(a, o.Metrics)
	return a, nil
}

// newClient returns a client without retries of its own. It follows no redirect: the
// token would go along.
func newClient(endpoint string, g gate) (*godo.Client, error) {
	h := &http.Client{
		Transport: &g, Timeout: requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c, err := godo.New(h, godo.SetBaseURL(endpoint+"/"), godo.SetUserAgent("flyball"))
	if err != nil {
		return nil, fmt.Errorf("configure client of %s: %w", endpoint, err)
	}
	return c, nil
}

// explain says what failed and what to do about it.
func explain(what string, err error) error {
	var refused *godo.ErrorResponse
	if !errors.As(err, &refused) || refused.Response == nil {
		var u *url.Error
		if errors.As(err, &u) { // its URL says nothing that what does not
			err = u.Err
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	hint := ""
	switch refused.Response.StatusCode {
	case http.StatusUnauthorized:
		hint = "; the token is not valid any more: write a new one into its file"
	case http.StatusForbidden:
		hint = "; the token lacks " + scopeOf(refused.Response.Request) + ": write one that has it into its file"
	}
	return fmt.Errorf("%s: DigitalOcean answers %d: %s%s: %w", what, refused.Response.StatusCode, refused.Message, hint, answered{refused})
}

// scopeOf names the scope that a token needs for a request.
func scopeOf(r *http.Request) string {
	verb := map[string]string{http.MethodGet: "read", http.MethodPost: "create", http.MethodPut: "update", http.MethodDelete: "delete"}
	switch {
	case r == nil:
	case strings.HasPrefix(r.URL.Path, "/v2/droplets/autoscale"):
	case strings.HasPrefix(r.URL.Path, "/v2/droplets/") && strings.HasSuffix(r.URL.Path, "/actions") && r.Method == http.MethodPost:
		return "the scope droplet:update"
	case strings.HasPrefix(r.URL.Path, "/v2/droplets"):
		return "the scope droplet:" + verb[r.Method]
	case strings.HasPrefix(r.URL.Path, "/v2/tags"):
		return "the scope tag:" + verb[r.Method]
	}
	return "a scope of droplet, tag, image, ssh_key, vpc, account or kubernetes"
}

// answered is an answer of the API's that is no success; what it says is in the text
// around it.
type answered struct{ res *godo.ErrorResponse }

// Error names the request, for DigitalOcean's support.
func (a answered) Error() string {
	if a.res.RequestID == "" {
		return "request without an id"
	}
	return "request " + a.res.RequestID
}

// Unwrap returns the client's error.
func (a answered) Unwrap() error { return a.res }

// statusOf is the status of the answer that err is; 0 if there was no answer.
func statusOf(err error) int {
	var refused *godo.ErrorResponse
	if errors.As(err, &refused) && refused.Response != nil {
		return refused.Response.StatusCode
	}
	return 0
}

// saysOf is what the answer that err is says, in lower case.
func saysOf(err error) string {
	var refused *godo.ErrorResponse
	if errors.As(err, &refused) {
		return strings.ToLower(refused.Message)
	}
	return ""
}
