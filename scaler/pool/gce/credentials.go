package gce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/compute/v1"
)

// A signer signs requests with a token, which it fetches when it needs one: for the
// service account whose key is in a file, or for whom the machine stands. The key is
// read anew when its file changes. Neither key nor token is ever shown.
type signer struct {
	base    http.RoundTripper
	machine http.RoundTripper // to the machine's metadata
	file    string            // "": the user's, or the machine's own

	turn  chan struct{} // held by who uses what follows
	token *oauth2.Token
	of    fileState // when the token was fetched
}

// fileState tells a file from what it was before.
type fileState struct {
	size     int64
	modified time.Time
}

// early is how long before its end a token is not used any more.
const early = time.Minute

// newSigner returns a signer before base, or base itself where requests can be
// overheard: then they go out unsigned.
func newSigner(base, machine http.RoundTripper, c Config) http.RoundTripper {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "https" && (c.CredentialsFile == "" || !secret(u)) {
		return base
	}
	return &signer{base: base, machine: machine, file: c.CredentialsFile, turn: make(chan struct{}, 1)}
}

// RoundTrip implements [http.RoundTripper].
func (s *signer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := s.current(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	token.SetAuthHeader(r)
	res, err := s.base.RoundTrip(r)
	if err == nil && res.StatusCode == http.StatusUnauthorized {
		s.forget(r.Context(), token)
	}
	return res, err
}

// current is a token that is good for now.
func (s *signer) current(ctx context.Context) (*oauth2.Token, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	state, err := s.look()
	if err != nil {
		return nil, err
	}
	if s.token != nil && state == s.of && (s.token.Expiry.IsZero() || time.Until(s.token.Expiry) > early) {
		return s.token, nil
	}
	token, err := s.fetch(ctx)
	if err != nil {
		return nil, err
	}
	s.token, s.of = token, state
	return token, nil
}

// forget drops a token that was refused.
func (s *signer) forget(ctx context.Context, token *oauth2.Token) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-s.turn }()
	if s.token == token {
		s.token = nil
	}
}

// look is how the key's file is.
func (s *signer) look() (fileState, error) {
	if s.file == "" {
		return fileState{}, nil
	}
	info, err := os.Stat(s.file)
	if err != nil {
		return fileState{}, &credentialsError{fmt.Errorf("read the service account's key: %w", err)}
	}
	return fileState{info.Size(), info.ModTime()}, nil
}

// fetch asks for a token, for no longer than its context lasts: Google's library does
// not hold to that where it asks the machine.
func (s *signer) fetch(ctx context.Context) (*oauth2.Token, error) {
	token, err := s.ask(ctx)
	if ended := ctx.Err(); ended != nil {
		return nil, fmt.Errorf("fetch a token: %w", ended)
	}
	if err != nil {
		return nil, &credentialsError{err}
	}
	return token, nil
}

func (s *signer) ask(ctx context.Context) (*oauth2.Token, error) {
	if s.file == "" && !hasKey() {
		return readToken(ctx, s.machine)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, newClient(bound{ctx, s.base}))
	source, err := s.source(ctx)
	if err != nil {
		return nil, err
	}
	token, err := source.Token()
	if err != nil {
		return nil, fmt.Errorf("fetch a token: %w", bare(err))
	}
	return token, nil
}

func (s *signer) source(ctx context.Context) (oauth2.TokenSource, error) {
	if s.file == "" {
		found, err := google.FindDefaultCredentials(ctx, compute.ComputeScope)
		if err != nil {
			return nil, errors.New("read the application default credentials: they cannot be used")
		}
		return found.TokenSource, nil
	}
	raw, err := os.ReadFile(s.file)
	if err != nil {
		return nil, fmt.Errorf("read the service account's key: %w", err)
	}
	key, err := google.JWTConfigFromJSON(raw, compute.ComputeScope)
	if err != nil || len(key.PrivateKey) == 0 || key.Email == "" {
		return nil, fmt.Errorf("read the service account's key: %s is not the JSON key of a service account", s.file)
	}
	return key.TokenSource(ctx), nil
}

// bound sends requests that end with a context, for who does not say any.
type bound struct {
	ctx  context.Context
	base http.RoundTripper
}

func (b bound) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.base.RoundTrip(r.WithContext(b.ctx))
}

// bare is an error without what the server of tokens wrote beside its reason.
func bare(err error) error {
	var told *oauth2.RetrieveError
	if !errors.As(err, &told) {
		return err
	}
	status, code := 0, struct {
		Error string `json:"error"`
	}{told.ErrorCode}
	if told.Response != nil {
		status = told.Response.StatusCode
	}
	_ = json.Unmarshal(told.Body, &code) // what is no JSON tells no reason
	return fmt.Errorf("refused with %d %s", status, code.Error)
}

// A credentialsError means that there is nobody to ask as.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
