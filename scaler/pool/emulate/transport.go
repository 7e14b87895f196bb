package emulate

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// transport serves a service's requests in process.
type transport struct {
	w *World
	s *service
}

// RoundTrip is that of [http.RoundTripper]. It waits only if the answer is late, and
// then no longer than the request's context allows.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := t.w.serve(t.s, r)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(bytes.NewReader(a.body.Bytes())),
		ContentLength: int64(a.body.Len()),
		Request:       r,
	}, nil
}

// ServeHTTP serves the same on a socket; an answer that is lost is a connection that
// breaks.
func (t transport) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	a, err := t.w.serve(t.s, r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(rw.Header(), a.header)
	rw.WriteHeader(a.status)
	_, _ = rw.Write(a.body.Bytes())
}
