package exporter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// The reasons why a target, or a part of it, cannot be read. The list is closed:
// a reason is a label.
const (
	Refused    = "refused"    // nobody listens there, or the way there is shut
	Timeout    = "timeout"    // no answer in time: it hangs, or is overloaded
	Unresolved = "unresolved" // its name has no address
	TLS        = "tls"        // a certificate, or the protocol, is not accepted
	Denied     = "denied"     // the user or the password is wrong
	Permission = "permission" // the user may not see this
	Missing    = "missing"    // the target does not have this
	Exhausted  = "exhausted"  // the target has no room: connections, memory or disk
	Protocol   = "protocol"   // the answer is not understood
	Broken     = "broken"     // anything else
)

// because is an error whose reason is known.
type because struct {
	reason string
	error
}

func (b because) Unwrap() error { return b.error }

// Because gives an error its reason; nil stays nil.
func Because(reason string, err error) error {
	if err == nil {
		return nil
	}
	return because{reason, err}
}

// Reason says in one word why; "" for nil. An error that was given none by
// [Because] is judged by what the network said.
func Reason(err error) string {
	var b because
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &b):
		return b.reason
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.As(err, &dns):
		return Unresolved
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record), errors.As(err, &alert):
		return TLS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Refused
	case errors.Is(err, fs.ErrPermission):
		return Permission
	case errors.As(err, &network) && network.Timeout():
		return Timeout
	}
	return Broken
}

// A Mistake is a value of a target's configuration that can be read but is wrong.
type Mistake struct {
	Field string // path below the target, e.g. .dsn_file
	Text  string // what is wrong
	Hint  string // what would be right
}
