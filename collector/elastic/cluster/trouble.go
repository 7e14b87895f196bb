package cluster

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// A trouble is why a request, or one document of it, was not taken, in one word.
type trouble string

const (
	fine        trouble = "ok"
	throttled   trouble = "throttled"   // 429: queues, memory or the disk are full
	unavailable trouble = "unavailable" // 408, 502, 503, 504: no node, no primary shard
	broken      trouble = "broken"      // any other 5xx
	denied      trouble = "denied"      // 401, 403, 407
	missing     trouble = "missing"     // 404: no template makes such a data stream
	tooLarge    trouble = "too_large"   // 413
	malformed   trouble = "malformed"   // any other status that is no success
	unreachable trouble = "unreachable" // no connection, or one that broke off
	timedOut    trouble = "timeout"     // no answer in time
	garbled     trouble = "garbled"     // an answer that is not one to what was sent
	stranger    trouble = "stranger"    // something else than Elasticsearch answers
	unreadable  trouble = "unreadable"  // a file of ours: a key, a password, a certificate
	stopped     trouble = "stopped"     // nobody waited for the answer
)

// troubles are all of them.
func troubles() []trouble {
	return []trouble{
		throttled, unavailable, broken, denied, missing, tooLarge, malformed, unreachable, timedOut, garbled, stranger,
		unreadable, stopped,
	}
}

// slow says whether somebody must mend something before it can go on.
func (t trouble) slow() bool {
	switch t {
	case denied, missing, malformed, stranger, unreadable:
		return true
	}
	return false
}

// answered says whether the cluster did its part, though perhaps not what was asked.
func (t trouble) answered() bool {
	switch t {
	case fine, throttled, missing, tooLarge, malformed:
		return true
	}
	return false
}

// unsure says whether a request that ended so may have been carried out.
func (t trouble) unsure() bool {
	switch t {
	case throttled, denied, missing, tooLarge, malformed, unreadable:
		return false
	}
	return true
}

var (
	errSlow     = errors.New("no answer in time")
	errGarbled  = errors.New("the answer does not fit what was sent")
	errStranger = errors.New("what answers is not Elasticsearch: its header X-Elastic-Product is missing; check urls")
	errFile     = errors.New("a file of the configuration's")
)

// troubleOf is what a status means.
func troubleOf(status int) trouble {
	switch status {
	case http.StatusTooManyRequests:
		return throttled
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return unavailable
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return denied
	case http.StatusNotFound:
		return missing
	case http.StatusRequestEntityTooLarge:
		return tooLarge
	}
	if status >= 500 {
		return broken
	}
	return malformed
}

// troubleWith is what an error of a request means.
func troubleWith(err error) trouble {
	var status *StatusError
	var timeout net.Error
	switch {
	case err == nil:
		return fine
	case errors.As(err, &status) && !status.genuine && troubleOf(status.Status) == malformed:
		return stranger // a proxy's word, which tells nothing of documents
	case errors.As(err, &status):
		return troubleOf(status.Status)
	case errors.Is(err, errStranger):
		return stranger
	case errors.Is(err, errFile):
		return unreadable
	case errors.Is(err, errSlow):
		return timedOut
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return stopped
	case errors.As(err, &timeout) && timeout.Timeout():
		return timedOut
	case errors.Is(err, errGarbled):
		return garbled
	}
	return unreachable
}
