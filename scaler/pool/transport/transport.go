// Package transport carries requests to clouds' APIs.
package transport

import (
	"net/http"
	"time"
)

// A connection on which nothing was heard for silence is asked for a sign of life, and
// given up without one: otherwise one that a firewall forgot would take every request,
// and answer none, for the quarter of an hour that TCP sends anew. (Google's own clients
// ask after 31 s.)
const (
	silence    = 30 * time.Second
	signOfLife = 10 * time.Second
)

// New returns a transport like [http.DefaultTransport], with connections of its own, none
// of which is used for longer than a minute after it fell silent.
func New() *http.Transport {
	t, is := http.DefaultTransport.(*http.Transport)
	if !is {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	}
	t = t.Clone()
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: signOfLife}
	return t
}
