package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The times of connections.
const (
	connectTimeout = 2 * time.Second        // for each server that is tried
	pingTimeout    = time.Second            // for a connection that was idle to show that it is not dead
	farewell       = 500 * time.Millisecond // to part from a server, which may be gone
	idleTime       = 5 * time.Minute        // until an idle connection is closed
	lifetime       = time.Hour              // of a connection, and a tenth more for some
)

// errNotADSN says no more: what cannot be parsed may be a password.
var errNotADSN = errors.New("it is no connection string of PostgreSQL: write postgres://USER@HOST1:5432,HOST2:5432/DATABASE, or host=HOST1,HOST2 user=USER dbname=DATABASE")

// connection is how to connect now. The files are read; errors tell nothing secret.
func (o Options) connection() (*pgx.ConnConfig, error) {
	field, dsn, err := "dsn", o.DSN, error(nil)
	if o.DSNFile != "" {
		field = "dsn file"
		if dsn, err = secret(o.DSNFile); err != nil {
			return nil, mistake{fmt.Errorf("dsn file: %w", err)}
		}
	}
	c, err := pgx.ParseConfig(dsn)
	if err != nil || strings.TrimSpace(dsn) == "" {
		return nil, mistake{fmt.Errorf("%s: %w", field, errNotADSN)}
	}
	for name := range c.RuntimeParams {
		if strings.HasPrefix(name, "pool_") {
			return nil, mistake{fmt.Errorf("%s: %s does not belong there: how many connections there may be is an option of its own", field, name)}
		}
	}
	if o.PasswordFile != "" {
		if c.Password, err = secret(o.PasswordFile); err != nil {
			return nil, mistake{fmt.Errorf("password file: %w", err)}
		}
	}
	o.complete(c)
	return c, nil
}

// complete sets what the connection string leaves open, and what has to be so.
func (o Options) complete(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "app"
	}
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(o.StatementTimeout.Milliseconds(), 10)
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
}

// newPool makes the pool of a store. It connects when it is asked to.
func newPool(ctx context.Context, o Options, s *Store) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, errors.New("read the environment: the variables PG... are wrong")
	}
	if c.ConnConfig, err = o.connection(); err != nil {
		return nil, err
	}
	c.MaxConns = int32(o.Connections)
	c.MaxConnIdleTime, c.MaxConnLifetime, c.MaxConnLifetimeJitter = idleTime, lifetime, lifetime/10
	c.PingTimeout = pingTimeout
	c.BeforeConnect = func(_ context.Context, to *pgx.ConnConfig) error {
		fresh, err := o.connection()
		if err != nil {
			return err
		}
		*to = *fresh
		(&line{servers: &s.servers, era: s.currentEra()}).carry(to)
		return nil
	}
	c.BeforeClose = hangUp
	return pgxpool.NewWithConfig(ctx, c)
}

// A server is one of those in the connection string.
type server struct {
	host string
	port uint16
}

// servers remembers which server took writes last, to be tried first, and which one
// was given up last, to be tried last: one that hangs costs all of connectTimeout.
type servers struct {
	mu      sync.Mutex
	found   server
	givenUp server
}

// sort puts the servers of a configuration in order.
func (s *servers) sort(c *pgx.ConnConfig) {
	s.mu.Lock()
	places := map[server]int{s.found: -1, s.givenUp: 1}
	s.mu.Unlock()
	all := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	slices.SortStableFunc(all, func(a, b *pgconn.FallbackConfig) int {
		return places[server{a.Host, a.Port}] - places[server{b.Host, b.Port}]
	})
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = all[0].Host, all[0].Port, all[0].TLSConfig, all[1:]
}

func (s *servers) find(found server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = found
	if s.givenUp == found {
		s.givenUp = server{}
	}
}

func (s *servers) giveUp(lost server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.givenUp = lost
	if s.found == lost {
		s.found = server{}
	}
}

// A line is one connection in the making, and then open.
type line struct {
	servers *servers
	era     int // see Store
	open    atomic.Bool

	// These are used while it is made.
	names map[string]string // by address: the host's name
	last  string            // address that was dialled

	to server // once it is open; of a Unix socket unknown
}

// lineKey is where a connection keeps its line.
const lineKey = "flyball/app/postgres line"

// carry makes a configuration connect through the line.
func (l *line) carry(c *pgx.ConnConfig) {
	l.names = map[string]string{}
	l.servers.sort(c)
	c.LookupFunc = l.lookup
	c.DialFunc = l.dial
	c.AfterConnect = l.connected
}

func (l *line) lookup(ctx context.Context, host string) ([]string, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	for _, a := range addresses {
		if _, known := l.names[a]; !known {
			l.names[a] = host
		}
	}
	return addresses, err
}

// dial connects. Once the line is open, what the driver still dials is to end a
// statement that is no longer waited for; a server that is gone must not hold that up.
func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}
	if !l.open.Load() {
		l.last = address
		return d.DialContext(ctx, network, address)
	}
	end := time.Now().Add(farewell)
	d.Deadline = end
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(end)
}

// connected notes where the line leads to. The server takes writes.
func (l *line) connected(_ context.Context, c *pgconn.PgConn) error {
	c.CustomData()[lineKey] = l
	if address, port, err := net.SplitHostPort(l.last); err == nil {
		number, _ := strconv.ParseUint(port, 10, 16)
		l.to = server{l.names[address], uint16(number)}
		l.servers.find(l.to)
	}
	l.open.Store(true)
	return nil
}

// hangUp is called before a connection is closed, and sees to it that a server that
// is gone keeps its place in the pool no longer than farewell.
func hangUp(c *pgx.Conn) {
	raw := c.PgConn().Conn()
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if c.IsClosed() { // the driver closes it in the background
		_ = raw.Close()
		return
	}
	_ = raw.SetDeadline(time.Now().Add(farewell))
}

func (s *Store) currentEra() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.era
}

// giveUp gives up all connections of the era that one is of, unless that is done.
func (s *Store) giveUp(c *pgx.Conn, err error) {
	l := c.PgConn().CustomData()[lineKey].(*line)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.era != s.era {
		return
	}
	s.era++
	s.servers.giveUp(l.to)
	s.log.Warn("giving up the connections to the database and looking for its primary", "server", node(c), "err", err)
	s.pool.Reset()
}

// complain logs that there is no connection, at most once in a while.
func (s *Store) complain(err error) {
	const while = 5 * time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.complained) > while {
		s.complained = now
		s.log.Warn("no connection to the database; trying again", "err", err)
	}
}

// node names the server of a connection.
func node(c *pgx.Conn) string { return c.PgConn().Conn().RemoteAddr().String() }

// explain says what to do about a connection that could not be made. The text is on
// one line, and tells no more of the configuration than hosts.
func explain(err error) error {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err
	}
	hint := "no server takes writes"
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		switch answer.Code {
		case "28P01":
			hint = "the user or the password is wrong"
		case "28000":
			hint = "the server does not let this user in: see its pg_hba.conf, and whether the role may LOGIN"
		case "3D000":
			hint = "make the database first: CREATE DATABASE"
		case "42501":
			hint = "grant the user CONNECT on the database"
		case "53300":
			hint = "the server has no connection left: use fewer, or raise its max_connections"
		}
	}
	var lines []string
	for line := range strings.Lines(errors.Unwrap(failed).Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(lines, line) { // with and without TLS it is often the same
			lines = append(lines, line)
		}
	}
	return &connectError{fmt.Sprintf("connect: %s: %s", hint, strings.Join(lines, "; ")), err}
}

// connectError is an error of the driver's, told in another way.
type connectError struct {
	text string
	err  error
}

func (e *connectError) Error() string { return e.text }
func (e *connectError) Unwrap() error { return e.err }
