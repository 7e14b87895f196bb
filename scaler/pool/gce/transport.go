package gce

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

// newTransport returns a transport like the default one, with connections of its own.
func newTransport() *http.Transport {
	t, is := http.DefaultTransport.(*http.Transport)
	if !is {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	}
	t = t.Clone()
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: signOfLife}
	return t
}
