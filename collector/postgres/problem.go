package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"flyball/collector/exporter"
)

// refusedTLS is what the driver says, without a type, of a server without TLS.
const refusedTLS = "server refused TLS connection"

// plain is what went wrong, with its reason and with what to do. It quotes the
// server and the network alone: errors of the driver quote the configuration.
func (t *target) plain(err error) error {
	if err == nil {
		return nil
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return t.said(server)
	}
	if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		return exporter.Because(exporter.Timeout, errors.New("no answer in time"))
	}
	leaf := leaf(err)
	if leaf.Error() == refusedTLS {
		return exporter.Because(exporter.TLS, errors.New("the server does not speak TLS: see sslmode"))
	}
	if exporter.Reason(leaf) == exporter.Broken && t.conn != nil && t.conn.IsClosed() {
		return exporter.Because(exporter.Refused, fmt.Errorf("%w: %w", errLost, leaf))
	}
	return leaf
}

// said is an error of the server's.
func (t *target) said(e *pgconn.PgError) error {
	reason := sqlReason(e.Code)
	hint := ""
	switch {
	case reason == exporter.Permission:
		hint = ": " + t.facts.grant()
	case e.Code == "57014":
		hint = fmt.Sprintf(": it may take %s", t.limit)
	case e.Code == "55P03":
		hint = ": another session has locked what is read"
	case e.Code == "53300":
		hint = ": raise max_connections or the role's CONNECTION LIMIT, or see who holds them in pg_stat_activity"
	case e.Code == "28000":
		hint = ": see pg_hba.conf and whether the role may LOGIN"
	}
	return exporter.Because(reason, fmt.Errorf("%s (%s)%s", e.Message, e.Code, hint))
}

// sqlReason is what an SQLSTATE means to us, see appendix A of PostgreSQL's manual.
func sqlReason(code string) string {
	switch code {
	case "28P01", "28000":
		return exporter.Denied
	case "42501":
		return exporter.Permission
	case "3D000", "42P01", "42883", "42703", "58P01", "55000": // database, table, function, column, file, what must be loaded
		return exporter.Missing
	case "57014", "55P03", "25P03", "57P05":
		return exporter.Timeout
	case "57P01", "57P02", "57P03": // it shuts down, or starts
		return exporter.Refused
	}
	switch {
	case strings.HasPrefix(code, "53"): // connections, memory, disk
		return exporter.Exhausted
	case strings.HasPrefix(code, "08"):
		return exporter.Protocol
	}
	return exporter.Broken
}

// leaf is the innermost error that says something by itself.
func leaf(err error) error {
	var network *net.OpError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &authority):
		return authority
	case errors.As(err, &host):
		return host
	case errors.As(err, &network):
		return network
	}
	for {
		inner := errors.Unwrap(err)
		if many, ok := err.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
			inner = many.Unwrap()[len(many.Unwrap())-1]
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}
