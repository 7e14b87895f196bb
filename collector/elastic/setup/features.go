package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrServer is a server that cannot do what is needed; the error says what, and what
// to do.
var ErrServer = errors.New("this Elasticsearch cannot be used")

// A feature is one that what we write needs.
type feature struct {
	what         string
	major, minor int // the first version that has it
}

// features are in the order of their versions. An older server is told of all that it
// lacks. The versions are from Elastic's release notes and the requests that merged them.
func features() []feature {
	return []feature{
		{"templates that may name a missing component", 8, 7},
		{"time series data streams", 8, 7},
		{"lists of patterns in dynamic templates", 8, 9},
		{"the retention of a data stream's lifecycle", 8, 11},
		{"more than 21 dimensions, of more than 1,024 bytes", 8, 13},
		{"bulk requests that insist on a data stream", 8, 13},
		{"fields beyond the limit that cost no document (ignore_dynamic_beyond_limit)", 8, 14},
	}
}

// supported says what a server of a version lacks; nil if nothing.
func supported(version string) error {
	major, minor, err := parseVersion(version)
	if err != nil {
		return err
	}
	var lacks []string
	var need feature
	for _, f := range features() {
		if major < f.major || major == f.major && minor < f.minor {
			lacks, need = append(lacks, f.what), f
		}
	}
	if lacks == nil {
		return nil
	}
	return fmt.Errorf("%w: version %s lacks %s; upgrade it to %d.%d or later", ErrServer, version, strings.Join(lacks, ", "), need.major, need.minor)
}

func parseVersion(version string) (major, minor int, err error) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	if major, err = strconv.Atoi(first); err == nil {
		minor, err = strconv.Atoi(second)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%w: it calls its version %q; is it Elasticsearch 8.14 or later?", ErrServer, version)
	}
	return major, minor, nil
}

// checkVersion asks the server what it is.
func checkVersion(ctx context.Context, c Client) error {
	var answer struct {
		Version struct {
			Number string `json:"number"`
			Flavor string `json:"build_flavor"`
		} `json:"version"`
	}
	if err := ask(ctx, c, http.MethodGet, "/", nil, &answer); err != nil {
		return err
	}
	if answer.Version.Flavor == "serverless" {
		return nil // it is always the newest, whatever its number
	}
	return supported(answer.Version.Number)
}

// checkPolicy says whether the lifecycle policy that is named is there.
func checkPolicy(ctx context.Context, c Client, name string) error {
	if name == "" {
		return nil
	}
	err := ask(ctx, c, http.MethodGet, "/_ilm/policy/"+escape(name), nil, nil)
	switch {
	case status(err) == http.StatusNotFound:
		return fmt.Errorf("%w: there is no lifecycle policy %q; make it, or leave ilm_policy out, so that retention counts", ErrServer, name)
	case unserved(err):
		return fmt.Errorf("%w: it has no index lifecycle management; leave ilm_policy out, so that retention counts", ErrServer)
	}
	return err
}
