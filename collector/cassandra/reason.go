package cassandra

import (
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/gocql/gocql"

	"flyball/collector/exporter"
)

// judged gives an error of the driver's its reason.
func judged(err error) error {
	if reason := reason(err); reason != "" {
		return exporter.Because(reason, err)
	}
	return err
}

// reason is the reason of what only the driver knows; "" leaves it to the exporter.
func reason(err error) string {
	var answer gocql.RequestError
	var protocol gocql.ErrProtocol
	switch {
	case err == nil, exporter.Reason(err) != exporter.Broken:
		return ""
	case errors.As(err, &answer):
		return answerReason(answer.Code())
	case errors.As(err, &protocol):
		return exporter.Protocol
	case errors.Is(err, gocql.ErrTimeoutNoResponse):
		return exporter.Timeout
	case errors.Is(err, gocql.ErrNoConnections), errors.Is(err, gocql.ErrConnectionClosed), errors.Is(err, gocql.ErrSessionClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return exporter.Refused
	}
	return ""
}

// answerReason is what an error code of the CQL protocol means to us.
func answerReason(code int) string {
	switch code {
	case gocql.ErrCodeCredentials:
		return exporter.Denied
	case gocql.ErrCodeUnauthorized:
		return exporter.Permission
	case gocql.ErrCodeInvalid, gocql.ErrCodeConfig:
		return exporter.Missing
	case gocql.ErrCodeReadTimeout:
		return exporter.Timeout
	case gocql.ErrCodeOverloaded:
		return exporter.Exhausted
	case gocql.ErrCodeBootstrapping:
		return exporter.Refused
	case gocql.ErrCodeProtocol, gocql.ErrCodeSyntax:
		return exporter.Protocol
	}
	return ""
}
