package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
)

// largestPage bounds what a page may hold, as HAProxy's Runtime API is bounded.
const largestPage = 32 << 20

// A Page is where a target tells of itself over HTTP. It is safe for concurrent use.
type Page struct {
	// URL is its address, without a user: errors tell of it.
	URL string
	// Username and PasswordFile are for basic authentication; both or none. The
	// file is read anew at each request, so that a rotated password works.
	Username     string
	PasswordFile string
	client       http.Client
}

// NewPage is the page at an address. Nothing is reached yet. Each request has a
// connection of its own: a server that was reloaded answers kept ones from its
// old process. Nobody is followed to another address, and no proxy is used.
func NewPage(address, username, passwordFile string) *Page {
	return &Page{
		URL: address, Username: username, PasswordFile: passwordFile,
		client: http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, DialContext: new(net.Dialer).DialContext},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Get reads the page whole: one that broke off, or that is not answered with 200,
// is an error with its reason.
func (p *Page) Get(ctx context.Context) (string, error) {
	text, err := p.get(ctx)
	if err != nil {
		return "", fmt.Errorf("get %s: %w", p.URL, err)
	}
	return text, nil
}

func (p *Page) get(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
	if err != nil {
		return "", bare(err)
	}
	if p.Username != "" {
		password, err := os.ReadFile(p.PasswordFile)
		if err != nil {
			return "", Because(Denied, fmt.Errorf("read its password: %w", err))
		}
		req.SetBasicAuth(p.Username, string(bytes.TrimRight(password, "\r\n")))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return "", spoke(bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", answered(resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, largestPage+1))
	if err != nil {
		return "", spoke(fmt.Errorf("the answer broke off: %w", err))
	}
	if len(text) > largestPage {
		return "", Because(Protocol, fmt.Errorf("the answer is longer than %d MB", largestPage>>20))
	}
	return string(text), nil
}

// bare takes off what repeats the address.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// spoke is an error of somebody who was reached: if nothing better is known, it
// did not speak HTTP, or not to the end.
func spoke(err error) error {
	if Reason(err) == Broken {
		return Because(Protocol, err)
	}
	return err
}

// answered is an answer that is no page.
func answered(status int) error {
	reason, hint := Protocol, "see whether the address is right"
	switch status {
	case http.StatusUnauthorized:
		reason, hint = Denied, "see username and password_file"
	case http.StatusForbidden:
		reason, hint = Permission, "allow this machine, or this user, to see the page"
	case http.StatusNotFound, http.StatusServiceUnavailable:
		reason, hint = Missing, "no page is at that address, or nobody serves it now"
	}
	return Because(reason, fmt.Errorf("it answers %d %s: %s", status, http.StatusText(status), hint))
}

// Mistakes names what is wrong with a page that is configured by the fields url,
// username and password_file.
func (p *Page) Mistakes() []Mistake {
	var ms []Mistake
	u, err := url.Parse(p.URL)
	switch {
	case err == nil && u.User != nil:
		ms = append(ms, Mistake{".url", "holds a user", "write username and password_file"})
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "": // it may hold a password that cannot be told apart
		ms = append(ms, Mistake{".url", "is no address of a page", "write http://host:port/path"})
	}
	switch {
	case p.Username != "" && p.PasswordFile == "":
		ms = append(ms, Mistake{".username", "has no password", "write password_file"})
	case p.Username == "" && p.PasswordFile != "":
		ms = append(ms, Mistake{".password_file", "is for nobody", "write username"})
	case p.PasswordFile != "":
		if _, err := os.Stat(p.PasswordFile); err != nil {
			ms = append(ms, Mistake{".password_file", "cannot be read: " + err.Error(), "write the password into that file"})
		}
	}
	return ms
}
