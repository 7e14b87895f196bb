// Package cassandra keeps products in an Apache Cassandra ring, which any number of
// processes may use at once, and goes on while one node of three is lost.
//
// # Tables
//
// A product is one row and one partition of `product`, by its ID. That row alone is
// true. It is changed only by a lightweight transaction that puts one version in the
// place of another ([Store.swap]), and Paxos, which takes turns within a partition,
// thus takes turns within one product only. A partition has a kilobyte or two, and half
// a megabyte at most, whatever the catalogue's size.
//
// `listing` says which products there may be. Its partitions are a type (or "", which
// is all) and one of so many buckets, by a hash of the ID; within one, entries are in
// the order of their IDs. An entry is a hint: it is written before the product, so
// that every product has one, and removed after it, so that one may be left by a
// crash. A page is merged from all buckets of its type, and every product on it is
// read from its own row. An entry belongs to one creation and is never written again,
// so that whoever removes an old one cannot remove the entry of a product made anew.
// What a crash left behind is removed by the listing that comes by a day later.
//
// Partitioning by type alone, which suggests itself, makes as many partitions as there
// are types: ten million products of 14 types are 700,000 rows and some 400 MB in each.
// With 16 buckets the largest partitions have 625,000 of ten million entries, which were
// measured to be 42 MB (67 bytes each); with 64 buckets a quarter of that. A first page
// of 50 costs 16 reads of a dozen entries each and then 51 reads of one row, each time
// at once, whatever the catalogue's size.
//
// # Consistency
//
// Everything is read and written at LOCAL_QUORUM, transactions are LOCAL_SERIAL, and
// only nodes of the local data centre are asked: what was written is seen by every
// later read in that data centre. Products must be written in one data centre at a
// time; another one follows, and takes over when it is told to.
//
// # Failures
//
// Reads and entries may be repeated without harm. They are, on other nodes, and reads
// that take long are asked of a second node as well. A swap whose answer is lost may
// have been done, or may be done yet, by a node that wakes up later. It is repeated
// too, which is safe because each puts a version that is made once in the place of one
// that never comes back: whichever of them is done, the others find nothing to do.
// That holds for deletion too, which leaves a marker in the row for a day. A row has its
// latest versions, by which a writer finds out what became of its own swap though others
// have gone on since.
package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/gocql/gocql"
	"github.com/prometheus/client_golang/prometheus"

	"flyball/app/product"
)

// Options say where the ring is and who the app is there.
type Options struct {
	Hosts        []string // some nodes, by name or address; the others are found
	Port         int      // of all nodes
	Keyspace     string
	Datacenter   string // the local one; "" takes the ring's only one
	User         string // "" if the ring asks for none
	PasswordFile string // read anew for each connection, so that a password may change
	CAFile       string // certificates in PEM form by which nodes are known; "" is no TLS
	Logger       *slog.Logger
	Registry     prometheus.Registerer // nil: nothing is counted

	dialer gocql.Dialer // nil: the network; tests lose answers on the way
}

var keyspaceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

// Validate says everything that is wrong with options at once.
func (o Options) Validate() error {
	var errs []error
	if len(o.Hosts) == 0 {
		errs = append(errs, errors.New("hosts: name at least one node"))
	}
	for _, h := range o.Hosts {
		if h == "" || strings.TrimSpace(h) != h {
			errs = append(errs, fmt.Errorf("hosts: %q is not a name or an address", h))
		} else if name, port, err := net.SplitHostPort(h); err == nil {
			errs = append(errs, fmt.Errorf("hosts: %s has a port: name the node %s, and give port %s, which all nodes share, by itself", h, name, port))
		}
	}
	if o.Port < 1 || o.Port > 65535 {
		errs = append(errs, fmt.Errorf("port: %d is not from 1 to 65535", o.Port))
	}
	if !keyspaceName.MatchString(o.Keyspace) {
		errs = append(errs, fmt.Errorf("keyspace: %q is not a name of small letters, digits and _ that begins with a letter, 48 at most", o.Keyspace))
	}
	if (o.User == "") != (o.PasswordFile == "") {
		errs = append(errs, errors.New("user: a user needs a password file, and a password file a user"))
	}
	return errors.Join(errs...)
}

// Store is a [product.Store] in a ring. Make it with [Open].
type Store struct {
	session  *gocql.Session
	buckets  int
	patience time.Duration // for a whole call, with all that is repeated
	log      *slog.Logger
	metrics  *metrics
}

var _ product.Store = (*Store)(nil)

// Open connects to the ring. The schema has to be there in the version that this
// program knows: [Migrate] makes it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	r, err := survey(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := r.layout.usable(o.Keyspace); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	m := newMetrics(o.Registry)
	session, err := connect(ctx, o, o.serving(r.datacenter, m))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{session: session, buckets: r.layout.buckets, patience: patience, log: o.Logger, metrics: m}, nil
}

// Close ends all connections. Calls in progress fail.
func (s *Store) Close() error {
	s.session.Close()
	return nil
}

// Ping is described at [product.Store].
func (s *Store) Ping(ctx context.Context) error {
	_, err := within(ctx, s, "ping store", func(ctx context.Context) (int, error) {
		var version int
		err := s.repeatable(ctx, "SELECT version FROM layout WHERE one = 0").Scan(&version)
		return version, err
	})
	return err
}

// The times of a statement. A node that does not answer costs a read
// speculationDelay and a swap answerTimeout, once: it is then asked last.
const (
	answerTimeout    = 2 * time.Second        // for one node to answer one statement
	speculationDelay = 250 * time.Millisecond // until a read is asked of one more node
	patience         = 8 * time.Second        // of a store
)

// repeatable makes a statement that may be made any number of times with the same
// effect. It is tried on other nodes if one fails or lets it wait.
func (s *Store) repeatable(ctx context.Context, statement string, values ...any) *gocql.Query {
	return s.session.Query(statement, values...).WithContext(ctx).Idempotent(true).
		RetryPolicy(elsewhere{}).
		SetSpeculativeExecutionPolicy(&gocql.SimpleSpeculativeExecution{NumAttempts: 1, TimeoutDelay: speculationDelay})
}

// once makes a statement that is tried on one node, once.
func (s *Store) once(ctx context.Context, statement string, values ...any) *gocql.Query {
	return s.session.Query(statement, values...).WithContext(ctx).Idempotent(false)
}
