package digitalocean

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
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
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, tt := range []struct {
		of    metadata
		want  int
		known bool
	}{
		{metadata{200, "123456\n", nil}, 123456, true},
		{metadata{404, "123456", nil}, 0, true},
		{metadata{err: refused}, 0, true},
		{metadata{503, "123456", nil}, 0, false},
		{metadata{200, "<html>", nil}, 0, false},
		{metadata{200, "-1", nil}, 0, false},
		{metadata{err: errors.New("no route")}, 0, false},
	} {
		if got, known := readSelf(tt.of); got != tt.want || known != tt.known {
			t.Errorf("%+v: %d, known %t; want %d, %t", tt.of, got, known, tt.want, tt.known)
		}
	}
}

// late is a metadata service that can be reached after some time only.
type late struct {
	metadata
	from  time.Time
	asked atomic.Int64
}

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	l.asked.Add(1)
	if time.Now().Before(l.from) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return l.metadata.RoundTrip(r)
}

func TestItsOwnNumberIsAskedForUntilItIsKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		of          metadata
		want        int
		least, most int64 // questions
	}{
		"a Droplet whose network comes up late": {metadata{200, "123456", nil}, 123456, 5, 15},
		"a machine elsewhere":                   {metadata{404, "", nil}, 0, 5, 15},
		"nobody ever says it":                   {metadata{err: errors.New("no route")}, 0, 55, 70},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &late{metadata: tt.of, from: time.Now().Add(5 * time.Minute)}
				s := &self{next: l, now: time.Now}
				for range 3600 {
					s.get()
					time.Sleep(time.Second)
				}
				if got, n := s.get(), l.asked.Load(); got != tt.want || n < tt.least || n > tt.most {
					t.Errorf("it runs on %d, asked %d times; want %d, asked %d to %d times", got, n, tt.want, tt.least, tt.most)
				}
				synctest.Wait()
			})
		})
	}
}

func TestItsOwnNumberIsNotAskedForThroughAProxy(t *testing.T) {
	if through, ok := newSelf(time.Now).next.(*http.Transport); !ok || through.Proxy != nil {
		t.Errorf("the machine's metadata are asked for through %+v", through)
	}
}

func TestWhereItIsNotDigitalOceanItselfThatIsAskedNoMetadataAreAsked(t *testing.T) {
	if id := selfOf(&account{})(); id != 0 {
		t.Errorf("it runs on Droplet %d", id)
	}
}
