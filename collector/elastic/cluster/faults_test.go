package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"flyball/deploy/testservers"
)

// A fault is what a faulty proxy does to one bulk request.
type fault func(p *faulty, w http.ResponseWriter, r *http.Request, lines []entry)

// An entry is one document of a bulk request: both of its lines.
type entry struct{ action, body []byte }

// A faulty is a proxy before Elasticsearch that knows what a bulk request is.
type faulty struct {
	t      testing.TB
	target string
	server *httptest.Server

	mu    sync.Mutex
	plan  func(n int) fault // what the n-th bulk request meets; nil: nothing
	bulks int
	sizes []int // bytes of the bulk requests, before compression
}

// startFaulty starts a proxy before es, for one test.
func startFaulty(t testing.TB, es *testservers.Elasticsearch) *faulty {
	t.Helper()
	p := &faulty{t: t, target: es.URL()}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

// meet sets what further bulk requests meet.
func (p *faulty) meet(plan func(n int) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.bulks, p.sizes = plan, 0, nil
}

// seen returns the sizes of the bulk requests since meet.
func (p *faulty) seen() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sizes
}

func (p *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := unpacked(r)
	if err != nil {
		http.Error(w, "cannot read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/_bulk") {
		p.forward(w, r, body)
		return
	}
	p.mu.Lock()
	var f fault
	if p.plan != nil {
		f = p.plan(p.bulks)
	}
	p.bulks++
	p.sizes = append(p.sizes, len(body))
	p.mu.Unlock()
	if f == nil {
		p.forward(w, r, body)
		return
	}
	f(p, w, r, entries(body))
}

// unpacked is a request's body.
func unpacked(r *http.Request) ([]byte, error) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		from = z
	}
	return io.ReadAll(from)
}

func entries(body []byte) []entry {
	lines := bytes.SplitAfter(body, []byte("\n"))
	var es []entry
	for i := 0; i+1 < len(lines); i += 2 {
		es = append(es, entry{lines[i], lines[i+1]})
	}
	return es
}

// pass sends a request on and returns the answer.
func (p *faulty) pass(r *http.Request, body []byte) (*http.Response, []byte, error) {
	q, err := http.NewRequest(r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true}
	a, err := transport.RoundTrip(q)
	if err != nil {
		return nil, nil, err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	return a, answer, err
}

func (p *faulty) forward(w http.ResponseWriter, r *http.Request, body []byte) {
	a, answer, err := p.pass(r, body)
	if err != nil {
		http.Error(w, "no server", http.StatusBadGateway)
		return
	}
	reply(w, a.StatusCode, answer)
}

// reply answers as Elasticsearch does.
func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// items answers the documents that choose picks with status and typ, and passes
// only the others on; or all of them, if done.
func items(status int, typ string, done bool, choose func(i int) bool) fault {
	return func(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
		var rest []byte
		for i, e := range es {
			if done || !choose(i) {
				rest = append(append(rest, e.action...), e.body...)
			}
		}
		var answer struct {
			Items []json.RawMessage `json:"items"`
		}
		if len(rest) > 0 {
			a, text, err := p.pass(r, rest)
			if err != nil || a.StatusCode != http.StatusOK {
				http.Error(w, "no server", http.StatusBadGateway)
				return
			}
			if err := json.Unmarshal(text, &answer); err != nil {
				p.t.Errorf("%v: %s", err, text)
			}
		}
		given := answer.Items
		answer.Items = nil
		for i := range es {
			one := json.RawMessage(fmt.Sprintf(`{"create":{"status":%d,"error":{"type":%q,"reason":"so it is told"}}}`, status, typ))
			if !choose(i) {
				one = given[0]
			}
			if done || !choose(i) {
				given = given[1:]
			}
			answer.Items = append(answer.Items, one)
		}
		text, err := json.Marshal(answer)
		if err != nil {
			p.t.Error(err)
		}
		reply(w, http.StatusOK, text)
	}
}

// whole answers a request as such, and passes nothing on; body may be Elasticsearch's.
func whole(status int, body string, header ...string) fault {
	return func(_ *faulty, w http.ResponseWriter, _ *http.Request, _ []entry) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		if body == "" {
			http.Error(w, "<html>"+http.StatusText(status)+"</html>", status)
			return
		}
		reply(w, status, []byte(body))
	}
}

// larger answers requests of more than most bytes with 413.
func larger(most int) fault {
	return func(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
		body := joined(es)
		if len(body) > most {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		p.forward(w, r, body)
	}
}

func joined(es []entry) []byte {
	var b []byte
	for _, e := range es {
		b = append(append(b, e.action...), e.body...)
	}
	return b
}

// cutOff resets the connection before the request is passed on, if before, or
// after part of the answer: 0 is none of it.
func cutOff(before bool, part float64) fault {
	return func(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
		var text []byte
		if !before {
			a, answer, err := p.pass(r, joined(es))
			if err == nil && a.StatusCode == http.StatusOK {
				text = answer
			}
		}
		conn, out, err := w.(http.Hijacker).Hijack()
		if err != nil {
			p.t.Error(err)
			return
		}
		defer conn.Close()
		if part > 0 && text != nil {
			fmt.Fprintf(out, "HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: %d\r\n\r\n", len(text))
			_, _ = out.Write(text[:int(float64(len(text))*part)])
			_ = out.Flush()
		}
	}
}

// silent passes a request on, and answers when nobody waits any more.
func silent(p *faulty, _ http.ResponseWriter, r *http.Request, es []entry) {
	_, _, _ = p.pass(r, joined(es))
	<-r.Context().Done()
}

// fewer leaves out the first item of the answer.
func fewer(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
	edited(func(items []json.RawMessage) []json.RawMessage { return items[1:] })(p, w, r, es)
}

// more doubles the first item of the answer.
func more(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
	edited(func(items []json.RawMessage) []json.RawMessage { return append(items, items[0]) })(p, w, r, es)
}

// blank answers with items that tell nothing.
func blank(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
	edited(func(items []json.RawMessage) []json.RawMessage {
		for i := range items {
			items[i] = json.RawMessage(`{}`)
		}
		return items
	})(p, w, r, es)
}

func edited(edit func([]json.RawMessage) []json.RawMessage) fault {
	return func(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
		var answer struct {
			Items []json.RawMessage `json:"items"`
		}
		a, text, err := p.pass(r, joined(es))
		if err != nil || a.StatusCode != http.StatusOK || json.Unmarshal(text, &answer) != nil {
			http.Error(w, "no server", http.StatusBadGateway)
			return
		}
		answer.Items = edit(answer.Items)
		text, err = json.Marshal(answer)
		if err != nil {
			p.t.Error(err)
		}
		reply(w, http.StatusOK, text)
	}
}

// rubbish passes a request on, and answers with what is no JSON.
func rubbish(p *faulty, w http.ResponseWriter, r *http.Request, es []entry) {
	_, _, _ = p.pass(r, joined(es))
	reply(w, http.StatusOK, []byte(`{"items":[{"create":{"stat`))
}
