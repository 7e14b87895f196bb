package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flyball/scaler/journal"
)

// elastic is the Elasticsearch that a demo ships to and reads its signal from:
// Flyball through the gate, the demo itself beside it.
type elastic struct {
	Namespace string // no other demo's
	base      string // its address
	gate      *gate
	client    *http.Client
}

// starts says how to get an Elasticsearch for the demo.
const starts = "`make servers ARGS=elasticsearch` starts one here"

// checkElastic names what is wrong with an address. The gate passes on bytes, so
// there is no room for TLS.
func checkElastic(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("--elasticsearch is no address such as http://127.0.0.1:9200, without TLS, user and path (%s)", starts)
	}
	return nil
}

// besideElastic opens a gate before an Elasticsearch, which is not reached yet.
func besideElastic(address string) (*elastic, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	target := u.Host
	if u.Port() == "" {
		target += ":80"
	}
	g, err := openGate(target)
	if err != nil {
		return nil, err
	}
	return &elastic{
		Namespace: "demo" + strconv.FormatInt(time.Now().UnixNano(), 36),
		base:      "http://" + target,
		gate:      g,
		client:    &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}},
	}, nil
}

// Gate is the address that Flyball asks.
func (e *elastic) Gate() string { return "http://" + e.gate.addr() }

// answer is what a request got if it was not what it should be.
type answer struct {
	status int
	reason string
}

func (a *answer) Error() string { return fmt.Sprintf("it answers %d: %s", a.status, a.reason) }

// do sends one request beside the gate, and reads its JSON answer into out unless
// that is nil.
func (e *elastic) do(ctx context.Context, method, path string, body, out any) error {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, e.base+path, text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask Elasticsearch: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("ask Elasticsearch: %w", err)
	case res.StatusCode >= 300:
		return fmt.Errorf("%s %s of Elasticsearch: %w", method, path, &answer{res.StatusCode, string(b[:min(len(b), 300)])})
	case out == nil:
		return nil
	}
	return json.Unmarshal(b, out)
}

// reach asks whether it is there.
func (e *elastic) reach(ctx context.Context) error {
	if e == nil {
		return nil
	}
	if err := e.do(ctx, http.MethodGet, "/_cluster/health", nil, nil); err != nil {
		return fmt.Errorf("%w (%s)", err, starts)
	}
	return nil
}

// metrics and events are the data streams of a kind that are the demo's own.
func (e *elastic) metrics() string { return "metrics-*-" + e.Namespace }
func (e *elastic) events() string  { return "logs-*-" + e.Namespace }

// sequences counts the journal's entries that are there, by their numbers.
func (e *elastic) sequences(ctx context.Context) (map[journal.Seq]int, error) {
	var res struct {
		Hits struct {
			Hits []struct {
				Fields map[string][]journal.Seq `json:"fields"`
			} `json:"hits"`
		} `json:"hits"`
	}
	err := e.do(ctx, http.MethodPost, "/"+e.events()+"/_search", map[string]any{
		"size": 10_000, "_source": false, "docvalue_fields": []string{"event.sequence"},
	}, &res)
	out := map[journal.Seq]int{}
	for _, h := range res.Hits.Hits {
		for _, seq := range h.Fields["event.sequence"] {
			out[seq]++
		}
	}
	return out, err
}

// count counts documents of metrics that match a query.
func (e *elastic) count(ctx context.Context, query any) (int, error) {
	var res struct {
		Count int `json:"count"`
	}
	err := e.do(ctx, http.MethodPost, "/"+e.metrics()+"/_count", map[string]any{"query": query}, &res)
	return res.Count, err
}

// refresh makes all that was written be found.
func (e *elastic) refresh(ctx context.Context) error {
	return e.do(ctx, http.MethodPost, "/"+e.metrics()+","+e.events()+"/_refresh", nil, nil)
}

// leave ends the gate.
func (e *elastic) leave() error {
	if e == nil {
		return nil
	}
	e.client.CloseIdleConnections()
	return e.gate.end()
}

// remove deletes the demo's own data streams, and then the templates that they were
// made by. What cannot be deleted is told in left and is no error: a server may
// lack the request for it.
func (e *elastic) remove(ctx context.Context) (left string, err error) {
	if e == nil {
		return "", nil
	}
	for _, path := range []string{
		"/_data_stream/" + e.metrics(),
		"/_data_stream/" + e.events(),
		"/_index_template/flyball-*-" + e.Namespace,
		"/_component_template/flyball-*" + e.Namespace + "@*",
	} {
		err := e.do(ctx, http.MethodDelete, path, nil, nil)
		a, ok := errors.AsType[*answer](err)
		switch {
		case ok && a.status == http.StatusNotFound: // there was none
		case ok:
			return fmt.Sprintf("data streams %s and %s, and templates flyball-*%s*: asked to delete them, it answers %d",
				e.metrics(), e.events(), e.Namespace, a.status), nil
		case err != nil:
			return "", err
		}
	}
	return "", nil
}
