package setup

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"

	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// An asker sends requests to a server, as a person with curl does.
type asker struct{ url string }

// ask returns the status and the answer.
func (a asker) ask(t testing.TB, method, path string, body any) (int, object) {
	t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text = b
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
	}
	q, err := http.NewRequestWithContext(t.Context(), method, a.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatalf("%s %s answers %s", method, path, answer)
	}
	return r.StatusCode, out
}

// must asks for what has to succeed.
func (a asker) must(t testing.TB, method, path string, body any) object {
	t.Helper()
	status, answer := a.ask(t, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s answers %d %v", method, path, status, answer)
	}
	return answer
}

// apply sends the requests of a plan.
func (a asker) apply(t testing.TB, rs []Request) {
	t.Helper()
	for _, r := range rs {
		a.must(t, r.Method, r.Path, r.Body)
	}
}

func server(t testing.TB) asker { return asker{testservers.SharedElasticsearch(t).URL()} }
