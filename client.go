package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"flyball/scaler/journal"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// A client asks the running service over its API.
type client struct {
	address string // scheme://host:port
	http    *http.Client
	sign    func(r *http.Request, act bool) error // adds who asks
}

// get asks for something and reads the answer into v.
func (c *client) get(ctx context.Context, path string, v any) error {
	return c.ask(ctx, http.MethodGet, path, nil, v)
}

// post asks for an act.
func (c *client) post(ctx context.Context, path string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.ask(ctx, http.MethodPost, path, text, v)
}

func (c *client) ask(ctx context.Context, method, path string, body []byte, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.address+"/api/flyball/v1"+path, bytes.NewReader(body))
	if err != nil {
		return usage(fmt.Errorf("read address %s: %w", c.address, err))
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if err := c.sign(r, method != http.MethodGet); err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("ask flyball at %s: %w (is `flyball run` running there? another place is given by --address)", c.address, cause(err))}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("read answer of flyball at %s: %w", c.address, err)}
	}
	if answer.StatusCode/100 != 2 {
		return c.said(answer, text)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read answer of %s: %w (is that flyball?)", r.URL.Redacted(), err)
	}
	return nil
}

// cause is an error without the request that the caller names himself.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.HasPrefix(err.Error(), "Get ") && !strings.HasPrefix(err.Error(), "Post ") {
			return err
		}
		err = inner
	}
}

// said turns an answer that is not a good one into an error with the service's
// own words.
func (c *client) said(answer *http.Response, text []byte) error {
	detail := strings.TrimSpace(string(text[:min(len(text), 200)]))
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) //nolint:errcheck // without one it is no problem body
	var p journal.Problem
	if kind == "application/problem+json" && json.Unmarshal(text, &p) == nil && p.Detail != "" {
		detail = p.Detail
	}
	if detail == "" {
		detail = answer.Status
	}
	switch {
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return &exitError{exitRefused, fmt.Errorf("refused: %s (an act needs the token in the service's data folder, by --token-file, or an operator's name, by --user)", detail)}
	case answer.StatusCode/100 == 4:
		return &exitError{exitRefused, fmt.Errorf("refused: %s", detail)}
	case answer.StatusCode/100 == 3:
		return fmt.Errorf("ask flyball at %s: it points to %s: give that by --address", c.address, answer.Header.Get("Location"))
	default:
		return fmt.Errorf("flyball at %s failed: %s", c.address, detail)
	}
}
