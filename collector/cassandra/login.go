package cassandra

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/gocql/gocql"

	"flyball/collector/exporter"
)

// login answers a node that asks who we are: SASL PLAIN, RFC 4616.
type login struct{ username, password string }

// login reads the password.
func (c Config) login() (login, error) {
	if c.Username == "" {
		return login{}, nil
	}
	password, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return login{}, exporter.Because(exporter.Denied, fmt.Errorf("read its password: %w", err))
	}
	return login{c.Username, string(bytes.TrimRight(password, "\r\n"))}, nil
}

// Challenge answers the first question of a node.
func (l login) Challenge([]byte) ([]byte, gocql.Authenticator, error) {
	if l.username == "" {
		return nil, nil, exporter.Because(exporter.Denied, errors.New("it asks for a user: write username and password_file"))
	}
	return []byte("\x00" + l.username + "\x00" + l.password), answered{}, nil
}

// Success takes the node's consent.
func (login) Success([]byte) error { return nil }

// answered refuses what PLAIN does not know: a second question.
type answered struct{}

// Challenge refuses.
func (answered) Challenge([]byte) ([]byte, gocql.Authenticator, error) {
	return nil, answered{}, exporter.Because(exporter.Protocol, errors.New("it asks for more than a user and a password"))
}

// Success takes the node's consent.
func (answered) Success([]byte) error { return nil }
