package cassandra

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gocql/gocql"
)

// The times of connections. A node that is down is tried again each reconnectInterval,
// if the ring does not say sooner that it is up.
const (
	connectTimeout    = 3 * time.Second
	reconnectInterval = 5 * time.Second
	schemaTimeout     = 30 * time.Second // for a change of the schema to be made, and to be known to all nodes
)

// serving is how the store's own session is set up: nodes of one data centre only, the
// one that has the row first. gocql would go on to other data centres by itself, where
// LOCAL_QUORUM and LOCAL_SERIAL mean other nodes.
func (o Options) serving(datacenter string, m *metrics) *gocql.ClusterConfig {
	c := o.cluster()
	c.Keyspace = o.Keyspace
	c.HostFilter = gocql.DataCentreHostFilter(datacenter)
	a := newAttention(gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(datacenter)))
	c.PoolConfig.HostSelectionPolicy = a
	c.FrameHeaderObserver = a
	c.QueryObserver = m
	return c
}

// surveying is how a session is set up that looks at the ring and changes its schema:
// it knows the given nodes only, and waits longer.
func (o Options) surveying() *gocql.ClusterConfig {
	c := o.cluster()
	c.DisableInitialHostLookup = true
	c.Events.DisableTopologyEvents = true // on which the driver would look hosts up after all, and close its connections
	c.Events.DisableNodeStatusEvents = true
	c.Events.DisableSchemaEvents = true
	c.NumConns = 1
	c.Timeout = schemaTimeout
	c.MaxWaitSchemaAgreement = schemaTimeout
	c.Consistency = gocql.Quorum
	c.SerialConsistency = gocql.Serial
	c.PoolConfig.HostSelectionPolicy = newAttention(gocql.RoundRobinHostPolicy())
	return c
}

// cluster is what all sessions have in common.
func (o Options) cluster() *gocql.ClusterConfig {
	c := gocql.NewCluster(o.Hosts...)
	c.Port = o.Port
	c.ProtoVersion = 4 // of Cassandra 2.2 and later, and the newest that the driver speaks
	c.Timeout = answerTimeout
	c.ConnectTimeout = connectTimeout
	c.ReconnectInterval = reconnectInterval
	c.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 1} // a node that fails once is down until then
	c.Consistency = gocql.LocalQuorum
	c.SerialConsistency = gocql.LocalSerial
	c.SocketKeepalive = 15 * time.Second
	c.Logger = driverLog{o.Logger}
	c.Dialer = o.dialer
	if o.User != "" {
		c.AuthProvider = o.authenticator
	}
	if o.CAFile != "" {
		c.SslOpts = &gocql.SslOptions{CaPath: o.CAFile, EnableHostVerification: true}
	}
	return c
}

// authenticator reads the password for one connection.
func (o Options) authenticator(*gocql.HostInfo) (gocql.Authenticator, error) {
	b, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read password: %w", err)
	}
	return gocql.PasswordAuthenticator{Username: o.User, Password: strings.TrimRight(string(b), "\r\n")}, nil
}

// connect opens a session. The driver does not take a context: it is left to finish in
// the background if the context ends first.
func connect(ctx context.Context, o Options, c *gocql.ClusterConfig) (*gocql.Session, error) {
	type outcome struct {
		session *gocql.Session
		err     error
	}
	failures := &failures{}
	c.ConnectObserver = failures
	opened := make(chan outcome, 1)
	go func() {
		session, err := c.CreateSession()
		opened <- outcome{session, err}
	}()
	select {
	case got := <-opened:
		if got.err != nil {
			return nil, fmt.Errorf("connect to %s: %w", o.nodes(), failures.explain(got.err))
		}
		return got.session, nil
	case <-ctx.Done():
		go func() {
			if got := <-opened; got.session != nil {
				got.session.Close()
			}
		}()
		return nil, fmt.Errorf("connect to %s: %w", o.nodes(), ctx.Err())
	}
}

// nodes are the hosts as an error names them.
func (o Options) nodes() string {
	names := make([]string, len(o.Hosts))
	for i, h := range o.Hosts {
		names[i] = net.JoinHostPort(h, strconv.Itoa(o.Port))
	}
	return strings.Join(names, ", ")
}

// failures collects why connections failed: the driver's own error has it as text only.
type failures struct {
	mu   sync.Mutex
	errs []error
}

// ObserveConnect hears of every connection.
func (f *failures) ObserveConnect(c gocql.ObservedConnect) {
	if c.Err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) < 16 {
		f.errs = append(f.errs, c.Err)
	}
}

// explain says what to do about a session that could not be opened.
func (f *failures) explain(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.errs {
		var answer gocql.RequestError
		switch {
		case errors.As(e, &answer) && answer.Code() == gocql.ErrCodeCredentials:
			return fmt.Errorf("the user or the password is wrong: %w", e)
		case errors.As(e, &answer):
			return fmt.Errorf("the node refused: %w", e)
		case strings.Contains(e.Error(), "authentication required"):
			return fmt.Errorf("the ring asks who we are: give a user and a password file: %w", e)
		case errors.Is(e, os.ErrNotExist), errors.Is(e, os.ErrPermission):
			return e
		case errors.As(e, new(*tls.CertificateVerificationError)):
			return fmt.Errorf("the node is not the one that it should be: %w", e)
		}
	}
	if len(f.errs) > 0 {
		err = f.errs[len(f.errs)-1]
	}
	if strings.Contains(err.Error(), "host was filtered") {
		return fmt.Errorf("none of these is in the local data centre: name one that is: %w", err)
	}
	return fmt.Errorf("no node answers; are they up, and hosts and port right? %w", err)
}

// driverLog writes what the driver says to our log.
type driverLog struct{ log *slog.Logger }

func (d driverLog) Print(v ...any)                 { d.write(fmt.Sprint(v...)) }
func (d driverLog) Println(v ...any)               { d.write(fmt.Sprintln(v...)) }
func (d driverLog) Printf(format string, v ...any) { d.write(fmt.Sprintf(format, v...)) }

func (d driverLog) write(text string) {
	d.log.Info("cassandra driver", "says", strings.TrimSpace(text))
}

// A ring is what the store has to know before it can be opened.
type ring struct {
	datacenter string // the local one
	layout     layout
}

// survey looks at the ring.
func survey(ctx context.Context, o Options) (ring, error) {
	session, err := connect(ctx, o, o.surveying())
	if err != nil {
		return ring{}, err
	}
	defer session.Close()
	dcs, err := datacenters(ctx, session)
	if err != nil {
		return ring{}, err
	}
	r := ring{}
	if r.datacenter, err = o.local(dcs); err != nil {
		return ring{}, err
	}
	r.layout, err = readLayout(ctx, session, o.Keyspace)
	return r, err
}

// datacenters counts the nodes of each data centre of a ring.
func datacenters(ctx context.Context, session *gocql.Session) (map[string]int, error) {
	dcs := map[string]int{}
	for _, table := range []string{"system.local", "system.peers"} {
		iter := session.Query("SELECT data_center FROM " + table).WithContext(ctx).Consistency(gocql.One).Iter()
		for name := ""; iter.Scan(&name); {
			if name != "" { // of a node that joins, not all is known at first
				dcs[name]++
			}
		}
		if err := iter.Close(); err != nil {
			return nil, fmt.Errorf("read data centres of the ring: %w", err)
		}
	}
	return dcs, nil
}

// local names the data centre that the store uses.
func (o Options) local(dcs map[string]int) (string, error) {
	names := names(dcs)
	switch {
	case o.Datacenter == "" && len(names) == 1:
		return names[0], nil
	case o.Datacenter == "":
		return "", fmt.Errorf("the ring has several data centres (%s): say which one is local", strings.Join(names, ", "))
	case !slices.Contains(names, o.Datacenter):
		return "", fmt.Errorf("the ring has no data centre %q; it has %s", o.Datacenter, strings.Join(names, ", "))
	}
	return o.Datacenter, nil
}
