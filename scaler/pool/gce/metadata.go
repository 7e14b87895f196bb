package gce

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/api/compute/v1"
)

// metadataHost is where a machine of Google's learns about itself. GCE_METADATA_HOST
// names another, as it does for Google's own programs.
const metadataHost = "169.254.169.254"

// errNotThere means that the machine has no such metadata, or is none of Google's.
var errNotThere = errors.New("this is no machine of Google's, or it has no such metadata")

// readMetadata reads what the machine knows of itself. An error of [errNotThere] is for
// good, others may pass.
func readMetadata(ctx context.Context, through http.RoundTripper, of string) ([]byte, error) {
	at := "http://" + cmp.Or(os.Getenv("GCE_METADATA_HOST"), metadataHost) + "/computeMetadata/v1/" + of
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Metadata-Flavor", "Google")
	res, err := through.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	switch {
	case res.Header.Get("Metadata-Flavor") != "Google", res.StatusCode == http.StatusNotFound:
		return nil, errNotThere
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the machine's metadata: %s", http.StatusText(res.StatusCode))
	}
	return io.ReadAll(io.LimitReader(res.Body, 64<<10))
}

// readToken fetches a token of the service account that the machine has.
func readToken(ctx context.Context, through http.RoundTripper) (*oauth2.Token, error) {
	raw, err := readMetadata(ctx, through, "instance/service-accounts/default/token?scopes="+url.QueryEscape(compute.ComputeScope))
	if err != nil {
		return nil, fmt.Errorf("find the application default credentials of this machine: there are none that can be used: %w", err)
	}
	var told struct {
		Token   string `json:"access_token"`
		Kind    string `json:"token_type"`
		Seconds int    `json:"expires_in"`
	}
	if json.Unmarshal(raw, &told) != nil || told.Token == "" || told.Seconds <= 0 {
		return nil, errors.New("fetch a token of this machine's service account: its metadata tell none")
	}
	return &oauth2.Token{AccessToken: told.Token, TokenType: told.Kind, Expiry: time.Now().Add(time.Duration(told.Seconds) * time.Second)}, nil
}

// hasKey reports whether the user has credentials where Google's programs look for them
// before they ask the machine.
func hasKey() bool {
	if os.Getenv("GOOGLE_APPLICATION_CREDENTIALS") != "" {
		return true
	}
	home := os.Getenv("HOME")
	if u, err := user.Current(); home == "" && err == nil {
		home = u.HomeDir
	}
	_, err := os.Stat(filepath.Join(home, ".config", "gcloud", "application_default_credentials.json"))
	return err == nil
}
