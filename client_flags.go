package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// clientOptions are what the commands that ask the running service have in common.
type clientOptions struct {
	address      string
	tokenFile    string
	user         string
	passwordFile string
	caFile       string
	timeout      time.Duration
	json         bool

	now func() time.Time // what --since counts from
}

// clientCommands are the commands that ask the running service. getenv gives the
// flags' defaults.
func clientCommands(getenv func(string) string) []*cobra.Command {
	return newClientOptions(getenv, time.Now).commands()
}

func newClientOptions(getenv func(string) string, now func() time.Time) *clientOptions {
	return &clientOptions{
		address:      cmp.Or(getenv("FLYBALL_ADDRESS"), "http://127.0.0.1:9480"),
		tokenFile:    cmp.Or(getenv("FLYBALL_TOKEN_FILE"), "data/token"),
		user:         getenv("FLYBALL_USER"),
		passwordFile: getenv("FLYBALL_PASSWORD_FILE"),
		caFile:       getenv("FLYBALL_CA_FILE"),
		timeout:      10 * time.Second,
		now:          now,
	}
}

func (o *clientOptions) commands() []*cobra.Command {
	cmds := []*cobra.Command{
		statusCommand(o), explainCommand(o), decisionsCommand(o), poolCommand(o), stopAllCommand(o), resumeAllCommand(o),
	}
	for _, cmd := range cmds {
		o.addTo(cmd)
	}
	return cmds
}

// addTo gives a command, and those under it, the common flags.
func (o *clientOptions) addTo(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&o.address, "address", o.address, "where flyball listens ($FLYBALL_ADDRESS)")
	f.StringVar(&o.tokenFile, "token-file", o.tokenFile, "file with the token that acts need ($FLYBALL_TOKEN_FILE)")
	f.StringVar(&o.user, "user", o.user, "user, where basic auth is on ($FLYBALL_USER)")
	f.StringVar(&o.passwordFile, "password-file", o.passwordFile, "file with the user's password ($FLYBALL_PASSWORD_FILE)")
	f.StringVar(&o.caFile, "ca-file", o.caFile, "certificates to trust instead of the system's ($FLYBALL_CA_FILE)")
	f.DurationVar(&o.timeout, "timeout", o.timeout, "how long to wait for an answer")
	f.BoolVar(&o.json, "json", false, "print the service's answer as JSON")
}

// client connects as the flags say.
func (o *clientOptions) client() (*client, error) {
	address := o.address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usage(fmt.Errorf("address %q is none: write e.g. http://127.0.0.1:9480", o.address))
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true // one question a run
	if o.caFile != "" {
		pool, err := certificates(o.caFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &client{
		address: strings.TrimSuffix(u.String(), "/"),
		sign:    o.sign,
		http: &http.Client{Transport: t, Timeout: o.timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a token is for whom it was meant
		}},
	}, nil
}

func certificates(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read --ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read --ca-file: %s has no PEM certificate", file)
	}
	return pool, nil
}

// sign says who asks: the user with basic auth, if one is given, else the token,
// and that only for an act.
func (o *clientOptions) sign(r *http.Request, act bool) error {
	if o.user != "" {
		if o.passwordFile == "" {
			return usage(errors.New("--user needs --password-file"))
		}
		password, err := secret(o.passwordFile)
		if err != nil {
			return fmt.Errorf("read --password-file: %w", err)
		}
		r.SetBasicAuth(o.user, password)
		return nil
	}
	if !act {
		return nil
	}
	token, err := secret(o.tokenFile)
	if err != nil {
		return fmt.Errorf("read token: %w (flyball keeps it in its data folder: run this there and as its user, or give --token-file)", err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// secret reads a file with one line.
func secret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s must hold one line", file)
	}
	return text, nil
}

// show prints an answer: as JSON if that is asked for, else as print does.
func (o *clientOptions) show(w io.Writer, answer any, print func(w sheet) error) error {
	if !o.json {
		return print(newSheet(w))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(answer); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
