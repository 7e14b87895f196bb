package traffic

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// statusGone is what a request is counted as whose client left before the answer.
const statusGone = 499

// assignment is one request's way through the balancer. It is used by the
// goroutine of the request alone.
type assignment struct {
	member   *backend // nil while it waits for one
	deadline time.Time
	code     int
}

type assignmentKey struct{}

// A Balancer sends each request to the admitted member with the fewest requests
// in progress. It is an [http.Handler], safe for concurrent use.
//
// A request is sent once. Only where no connection could be had, which proves
// that no byte was sent, another member is tried. While no member is ready, as
// many requests as the queue holds wait for one, as long as [ServerConfig] says;
// the others, and those who waited in vain, get 503 with Retry-After.
type Balancer struct {
	cfg     ServerConfig
	log     *slog.Logger
	table   *table
	metrics *metrics
	proxy   *httputil.ReverseProxy
	prober  *http.Transport
	about   About
	stop    context.CancelFunc // ends Run; nil outside of it
	keeping sync.Mutex         // one write of the table at a time
}

// NewBalancer returns a balancer that knows the members its state file tells of.
func NewBalancer(cfg ServerConfig) (*Balancer, error) {
	cfg = cfg.withDefaults()
	b := &Balancer{cfg: cfg, log: cfg.Log, table: newTable(cfg.Check, cfg.Queue), prober: newProber()}
	if err := b.recall(); err != nil {
		return nil, err
	}
	b.metrics = newMetrics(b.table)
	b.proxy = &httputil.ReverseProxy{
		Rewrite:        forward,
		Transport:      roundTripper(b.send),
		ModifyResponse: answered,
		ErrorHandler:   b.failed,
		FlushInterval:  -1, // what a member has written, the client gets
		BufferPool:     &buffers{},
		ErrorLog:       slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
	return b, nil
}

// ServeHTTP sends r to a member and its answer back.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	a := &assignment{deadline: start.Add(b.cfg.Wait)}
	defer b.finish(a, start)
	if err := b.assign(r.Context(), a); err != nil {
		a.code = b.refuse(w, r, err)
		return
	}
	b.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), assignmentKey{}, a)))
}

func (b *Balancer) assign(ctx context.Context, a *assignment) error {
	ctx, cancel := context.WithDeadline(ctx, a.deadline)
	defer cancel()
	m, err := b.table.acquire(ctx)
	if err != nil {
		return err
	}
	a.member = m
	return nil
}

// finish gives the member back, also where the answer was cut off in its middle,
// which the reverse proxy says by a panic that the server knows.
func (b *Balancer) finish(a *assignment, start time.Time) {
	if a.member != nil {
		b.table.release(a.member)
	}
	b.metrics.requests.WithLabelValues(strconv.Itoa(a.code)).Inc()
	b.metrics.duration.Observe(time.Since(start).Seconds())
	if v := recover(); v != nil {
		b.metrics.aborted.Inc()
		panic(v)
	}
}

// send is the reverse proxy's transport: it sends r to the member it was
// assigned, and to another one while the connection cannot be had.
func (b *Balancer) send(r *http.Request) (*http.Response, error) {
	a := r.Context().Value(assignmentKey{}).(*assignment)
	body := r.Body
	for {
		once := &unread{ReadCloser: body}
		out := r.WithContext(r.Context())
		to := *r.URL
		to.Host = a.member.addr
		out.URL = &to
		if body != nil && body != http.NoBody {
			out.Body = once
		}
		res, err := a.member.transport.RoundTrip(out)
		if err == nil || !unsent(err) || once.touched.Load() || r.Context().Err() != nil {
			return res, err
		}
		if b.elsewhere(r.Context(), a) != nil {
			return nil, err
		}
	}
}

// elsewhere moves a request whose member refused the connection to another one.
func (b *Balancer) elsewhere(ctx context.Context, a *assignment) error {
	b.metrics.refused.Inc()
	b.table.refused(a.member, time.Now())
	b.table.release(a.member)
	a.member = nil
	if err := b.assign(ctx, a); err != nil {
		return err
	}
	b.metrics.redispatched.Inc()
	return nil
}

// refuse answers a request for which there is no member.
func (b *Balancer) refuse(w http.ResponseWriter, r *http.Request, err error) int {
	if r.Context().Err() != nil {
		return statusGone
	}
	b.metrics.rejected.WithLabelValues(rejection(err)).Inc()
	w.Header().Set("Retry-After", "1")
	http.Error(w, "No member is ready. Try again in a second.", http.StatusServiceUnavailable)
	return http.StatusServiceUnavailable
}

func rejection(err error) string {
	if errors.Is(err, errQueueFull) {
		return "queue_full"
	}
	return "timeout"
}

// failed answers a request whose member gave no answer.
func (b *Balancer) failed(w http.ResponseWriter, r *http.Request, err error) {
	a := r.Context().Value(assignmentKey{}).(*assignment)
	a.code = http.StatusBadGateway
	if errors.Is(context.Cause(r.Context()), context.Canceled) {
		a.code = statusGone
	} else {
		b.log.Warn("member gave no answer", "method", r.Method, "member", memberName(a.member), "err", err)
	}
	w.WriteHeader(a.code)
}

func memberName(m *backend) string {
	if m == nil {
		return ""
	}
	return string(m.id)
}

// forward passes a request on as it came: host, query and the chain of proxies
// before this one included.
func forward(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme = "http"
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	p.Out.Host = p.In.Host
	p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
	p.SetXForwarded()
}

func answered(res *http.Response) error {
	res.Request.Context().Value(assignmentKey{}).(*assignment).code = res.StatusCode
	return nil
}

// newTransport connects to one member. Idle connections end before the common
// servers end theirs (5 s is the shortest default in use), because a request
// that is written while the other side closes is lost.
func newTransport() *http.Transport {
	d := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		DialContext:           d.DialContext,
		DisableCompression:    true,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       4 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// unsent reports whether err proves that no byte of a request was sent.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// unread is a request's body that survives a transport which closes it without
// having read from it, so that it can be sent to another member.
type unread struct {
	io.ReadCloser
	touched atomic.Bool
}

func (u *unread) Read(p []byte) (int, error) {
	u.touched.Store(true)
	return u.ReadCloser.Read(p)
}

func (u *unread) Close() error {
	if !u.touched.Load() {
		return nil
	}
	return u.ReadCloser.Close()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// buffers lends the reverse proxy its copy buffers.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if v, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return v[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(p []byte) {
	if len(p) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(p))
	}
}
