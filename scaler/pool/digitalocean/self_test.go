package digitalocean

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// metadata is a machine's metadata service.
type metadata struct {
	status int
	body   string
	err    error
}

func (m metadata) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.err != nil || r.URL.String() != selfURL {
		return nil, errors.Join(m.err, errors.New(r.URL.String()))
	}
	return &http.Response{StatusCode: m.status, Body: io.NopCloser(strings.NewReader(m.body))}, nil
}

func TestADropletLearnsItsOwnNumber(t *testing.T) {
	for _, tt := range []struct {
		of   metadata
		want int
	}{
		{metadata{200, "123456\n", nil}, 123456},
		{metadata{404, "123456", nil}, 0},
		{metadata{200, "<html>", nil}, 0},
		{metadata{200, "-1", nil}, 0},
		{metadata{err: errors.New("no route")}, 0},
	} {
		if got := readSelf(tt.of); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.of, got, tt.want)
		}
	}
}

func TestWhereItIsNotDigitalOceanItselfThatIsAskedNoMetadataAreAsked(t *testing.T) {
	if id := selfOf(&account{})(); id != 0 {
		t.Errorf("it runs on Droplet %d", id)
	}
}
