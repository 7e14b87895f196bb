package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"flyball/app/product"
	"flyball/app/sqlite"
	"flyball/app/web"
)

// knobs is a store that can be made to fail.
type knobs struct {
	product.Store
	err atomic.Pointer[error]
}

func (k *knobs) fail(err error) { k.err.Store(&err) }

func (k *knobs) failure() error {
	if p := k.err.Load(); p != nil {
		return *p
	}
	return nil
}

func (k *knobs) Get(ctx context.Context, id string) (product.Product, error) {
	if err := k.failure(); err != nil {
		return product.Product{}, err
	}
	return k.Store.Get(ctx, id)
}

func (k *knobs) Ping(ctx context.Context) error {
	if err := k.failure(); err != nil {
		return err
	}
	return k.Store.Ping(ctx)
}

type app struct {
	*web.Service
	store *knobs
}

func newApp(t *testing.T, change func(c *web.Config)) app {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := &knobs{Store: s}
	c := web.Config{Store: k, Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	service, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return app{service, k}
}

// do sends a request; headers are "Name: value".
func (a app) do(t *testing.T, method, target, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	asJSON = "Content-Type: application/json"
	asForm = "Content-Type: application/x-www-form-urlencoded"
	book   = `{"type":"book","name":"A","parameters":{"pages":320,"price":1.50,"new":true,"x":null,"s":"t"}}`
)

// with makes a product "a" and gives its ETag.
func (a app) with(t *testing.T, id string) (etag string) {
	t.Helper()
	res := a.do(t, "PUT", "/api/products/"+id, book, asJSON, "If-None-Match: *")
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("PUT %s: %s: %s", id, res.Status, read(t, res))
	}
	return res.Header.Get("ETag")
}

func TestAPIStatus(t *testing.T) {
	big := `{"type":"book","name":"` + strings.Repeat("a", 200_000) + `"}`
	tests := []struct {
		name, method, target, body string
		headers                    []string
		want                       int
		says                       string
	}{
		{"create", "POST", "/api/products", book, []string{asJSON}, 201, `"price":1.50`},
		{"create with a charset", "POST", "/api/products", book, []string{"Content-Type: application/json; charset=utf-8"}, 201, ""},
		{"create as something else", "POST", "/api/products", book, []string{"Content-Type: text/plain"}, 415, "application/json"},
		{"create without a type of content", "POST", "/api/products", book, nil, 415, ""},
		{"create of no JSON", "POST", "/api/products", `{"type":`, []string{asJSON}, 400, "not JSON"},
		{"create of two values", "POST", "/api/products", book + book, []string{asJSON}, 400, "not JSON"},
		{"create of nothing", "POST", "/api/products", "", []string{asJSON}, 400, "not JSON"},
		{"create of a list", "POST", "/api/products", `[]`, []string{asJSON}, 422, `"pointer":"#"`},
		{"create with an unknown member", "POST", "/api/products", `{"typ":"a"}`, []string{asJSON}, 422, `"#/typ"`},
		{"create with all mistakes at once", "POST", "/api/products", `{"typ":"a","type":1}`, []string{asJSON}, 422, `"#/name"`},
		{"create with a member twice", "POST", "/api/products", `{"type":"a","type":"b","name":"c"}`, []string{asJSON}, 422, "twice"},
		{"create with a nested parameter", "POST", "/api/products", `{"type":"a","name":"b","parameters":{"a/b":{}}}`, []string{asJSON}, 422, `"#/parameters/a~1b"`},
		{"create too large", "POST", "/api/products", big, []string{asJSON}, 413, ""},
		{"get", "GET", "/api/products/a", "", nil, 200, `"name":"A"`},
		{"head", "HEAD", "/api/products/a", "", nil, 200, ""},
		{"get nothing", "GET", "/api/products/none", "", nil, 404, "no product"},
		{"get elsewhere", "GET", "/api/things", "", nil, 404, "path"},
		{"list", "GET", "/api/products", "", nil, 200, `"products":[{`},
		{"list of no type that there is", "GET", "/api/products?type=none", "", nil, 200, `"products":[]`},
		{"list of an impossible type", "GET", "/api/products?type=%00", "", nil, 400, "type"},
		{"list too much", "GET", "/api/products?limit=201", "", nil, 400, "limit"},
		{"list with a mistyped parameter", "GET", "/api/products?typ=a", "", nil, 400, "type, limit or page"},
		{"list a page that is none", "GET", "/api/products?page=x", "", nil, 400, "page"},
		{"put without a condition", "PUT", "/api/products/a", book, []string{asJSON}, 428, "If-Match"},
		{"put on another version", "PUT", "/api/products/a", book, []string{asJSON, `If-Match: "x"`}, 412, "changed"},
		{"put on a weak version", "PUT", "/api/products/a", book, []string{asJSON, `If-Match: W/"x"`}, 412, ""},
		{"put on any version", "PUT", "/api/products/a", book, []string{asJSON, "If-Match: *"}, 200, ""},
		{"put on nothing", "PUT", "/api/products/none", book, []string{asJSON, `If-Match: "x"`}, 404, ""},
		{"put with a tag that is none", "PUT", "/api/products/a", book, []string{asJSON, "If-Match: x"}, 400, "If-Match"},
		{"put with two conditions", "PUT", "/api/products/a", book, []string{asJSON, `If-Match: "x"`, "If-None-Match: *"}, 400, ""},
		{"put new", "PUT", "/api/products/new", book, []string{asJSON, "If-None-Match: *"}, 201, ""},
		{"put new again", "PUT", "/api/products/a", book, []string{asJSON, "If-None-Match: *"}, 412, "exists"},
		{"put new with a bad id", "PUT", "/api/products/a%20b", book, []string{asJSON, "If-None-Match: *"}, 422, `"#/id"`},
		{"delete on another version", "DELETE", "/api/products/a", "", []string{`If-Match: "x"`}, 412, ""},
		{"delete", "DELETE", "/api/products/a", "", nil, 204, ""},
		{"delete nothing", "DELETE", "/api/products/none", "", nil, 404, ""},
		{"patch", "PATCH", "/api/products/a", "", nil, 405, "PUT"},
		{"delete all", "DELETE", "/api/products", "", nil, 405, ""},
		{"from another site", "POST", "/api/products", book, []string{asJSON, "Sec-Fetch-Site: cross-site"}, 403, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t, nil)
			a.with(t, "a")
			res := a.do(t, tt.method, tt.target, tt.body, tt.headers...)
			body := read(t, res)
			if res.StatusCode != tt.want || !strings.Contains(body, tt.says) {
				t.Errorf("got %d %s, want %d with %q", res.StatusCode, body, tt.want, tt.says)
			}
			if tt.want >= 400 {
				checkProblem(t, res, body)
			}
			if tt.want == 405 && res.Header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
		})
	}
}

func checkProblem(t *testing.T, res *http.Response, body string) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Status != res.StatusCode || p.Title == "" || p.Detail == "" || p.Type == "" {
		t.Errorf("problem %s: %v", body, err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %s", got)
	}
}

func TestOptimisticLocking(t *testing.T) {
	a := newApp(t, nil)
	first := a.with(t, "a")
	put := func(tags string) *http.Response {
		return a.do(t, "PUT", "/api/products/a", book, asJSON, "If-Match: "+tags)
	}
	res := put(first)
	second := res.Header.Get("ETag")
	if res.StatusCode != 200 || second == first || second == "" {
		t.Fatalf("first update: %s, ETag %s after %s", res.Status, second, first)
	}
	if res := put(first); res.StatusCode != 412 {
		t.Errorf("stale update: %s, want 412", res.Status)
	}
	if res := put(`"other", ` + second); res.StatusCode != 200 {
		t.Errorf("update with a list of tags: %s, want 200", res.Status)
	}
	now := a.do(t, "GET", "/api/products/a", "").Header.Get("ETag")
	if res := a.do(t, "GET", "/api/products/a", "", "If-None-Match: W/"+now); res.StatusCode != 304 {
		t.Errorf("conditional get: %s, want 304", res.Status)
	}
	if res := a.do(t, "DELETE", "/api/products/a", "", "If-Match: "+now); res.StatusCode != 204 {
		t.Errorf("delete: %s, want 204", res.Status)
	}
}

func TestAProductIsFoundWhereItsLocationSays(t *testing.T) {
	a := newApp(t, nil)
	made := a.do(t, "POST", "/api/products", book, asJSON)
	got := a.do(t, "GET", made.Header.Get("Location"), "")
	if diff := cmp.Diff(read(t, made), read(t, got)); got.StatusCode != 200 || diff != "" || got.Header.Get("ETag") != made.Header.Get("ETag") {
		t.Errorf("%s, (-made +got):\n%s", got.Status, diff)
	}
}

func TestNextLeadsThroughAllPages(t *testing.T) {
	a := newApp(t, nil)
	want := []string{"a", "b", "c", "d", "e"}
	for _, id := range want {
		a.with(t, id)
	}
	var got []string
	for next := "/api/products?type=book&limit=2"; next != ""; {
		var page struct {
			Products []struct{ ID string }
			Next     string
		}
		if err := json.Unmarshal([]byte(read(t, a.do(t, "GET", next, ""))), &page); err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Products {
			got = append(got, p.ID)
		}
		next = page.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAFailingStoreIsNotTheClientsBusiness(t *testing.T) {
	a := newApp(t, nil)
	tests := []struct {
		err  error
		want int
	}{
		{errors.New("disk /secret/path is on fire"), 500},
		{product.ErrBusy, 503},
		{context.DeadlineExceeded, 503},
	}
	for _, tt := range tests {
		a.store.fail(tt.err)
		for _, target := range []string{"/api/products/a", "/edit/a"} {
			res := a.do(t, "GET", target, "")
			body := read(t, res)
			if res.StatusCode != tt.want || strings.Contains(body, "secret") {
				t.Errorf("%s with %v: %d %s, want %d", target, tt.err, res.StatusCode, body, tt.want)
			}
			if retry := res.Header.Get("Retry-After"); (retry != "") != (tt.want == 503) {
				t.Errorf("%s with %v: Retry-After %q", target, tt.err, retry)
			}
		}
	}
}

func TestReadyzAsksTheStoreAndEndsWithWithdrawal(t *testing.T) {
	a := newApp(t, nil)
	check := func(when string, want int) {
		t.Helper()
		if res := a.do(t, "GET", "/readyz", ""); res.StatusCode != want {
			t.Errorf("%s: readyz %d, want %d", when, res.StatusCode, want)
		}
		if res := a.do(t, "GET", "/livez", ""); res.StatusCode != 200 {
			t.Errorf("%s: livez %d, want 200", when, res.StatusCode)
		}
	}
	check("at first", 200)
	a.store.fail(errors.New("gone"))
	check("without a store", 503)
	a.store.fail(nil)
	check("with the store again", 200)
	a.Withdraw()
	check("withdrawn", 503)
	a.with(t, "a") // requests are still served
	if res := a.do(t, "GET", "/api/products/a", ""); res.Header.Get("Connection") != "close" {
		t.Error("a withdrawn service keeps connections")
	}
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestPagesCreateEditAndDelete(t *testing.T) {
	a := newApp(t, nil)
	res := a.do(t, "POST", "/new", form("type", "lamp ", "name", "<b>Lamp</b>", "parameters", "watts = 7\r\ncolour = red"), asForm, "Sec-Fetch-Site: same-origin")
	if res.StatusCode != 303 || res.Header.Get("Location") != "/?done=created" {
		t.Fatalf("create: %s: %s", res.Status, read(t, res))
	}
	page, err := a.store.List(t.Context(), product.Query{Type: "lamp", Limit: 2})
	if err != nil || len(page.Products) != 1 {
		t.Fatalf("stored: %v, %v", page, err)
	}
	p := page.Products[0]
	if diff := cmp.Diff(product.Parameters{"watts": json.Number("7"), "colour": "red"}, p.Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	list := a.do(t, "GET", "/?type=lamp", "")
	if body := read(t, list); !strings.Contains(body, "&lt;b&gt;Lamp") || !strings.Contains(body, "/edit/"+p.ID) {
		t.Errorf("list: %s", body)
	}
	if list := read(t, a.do(t, "GET", "/", "")); !strings.Contains(list, `.params span:not(:last-child)::after{content:" · "}`) {
		t.Error("parameters are not set apart by a dot between spaces")
	}
	if !strings.Contains(list.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page may load anything")
	}
	if body := read(t, a.do(t, "GET", "/edit/"+p.ID, "")); !strings.Contains(body, "watts = 7") || !strings.Contains(body, p.Version) {
		t.Errorf("edit: %s", body)
	}
	change := form("type", "lamp", "name", "Lamp", "version", p.Version)
	if res := a.do(t, "POST", "/edit/"+p.ID, change, asForm); res.StatusCode != 303 {
		t.Errorf("save: %s: %s", res.Status, read(t, res))
	}
	p, _ = a.store.Get(t.Context(), p.ID)
	if res := a.do(t, "POST", "/delete/"+p.ID, form("version", p.Version), asForm); p.Name != "Lamp" || res.StatusCode != 303 {
		t.Errorf("delete of %v: %s", p, res.Status)
	}
}

func TestPagesRefuse(t *testing.T) {
	stale := form("type", "lamp", "name", "Mine", "parameters", "a = 1", "version", "old")
	tests := []struct {
		name, target, body string
		headers            []string
		want               int
		says               []string
	}{
		{"a change of another version, with both shown", "/edit/a", stale, []string{asForm}, 409, []string{"Somebody else changed", `value="Mine"`, "Stored now", "pages = 320"}},
		{"a delete of another version", "/delete/a", stale, []string{asForm}, 409, []string{"Somebody else changed"}},
		{"a change without a version", "/edit/a", form("type", "a"), []string{asForm}, 400, []string{"version"}},
		{"a delete without a version", "/delete/a", "", []string{asForm}, 400, []string{"version"}},
		{"a change of nothing", "/edit/none", stale, []string{asForm}, 404, []string{"no product"}},
		{"a wrong form, which keeps what was typed", "/new", form("name", "Mine", "type", ""), []string{asForm}, 422, []string{`value="Mine"`, "is missing"}},
		{"parameters that are none", "/new", form("name", "a", "type", "b", "parameters", "x"), []string{asForm}, 422, []string{"line 1", ">x</textarea>"}},
		{"a form from another site", "/new", form("name", "a", "type", "b"), []string{asForm, "Sec-Fetch-Site: cross-site"}, 403, nil},
		{"a form from an old browser on another site", "/delete/a", stale, []string{asForm, "Origin: http://evil.example"}, 403, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t, nil)
			before := a.with(t, "a")
			res := a.do(t, "POST", tt.target, tt.body, tt.headers...)
			body := read(t, res)
			if res.StatusCode != tt.want {
				t.Errorf("got %s, want %d: %s", res.Status, tt.want, body)
			}
			for _, s := range tt.says {
				if !strings.Contains(body, s) {
					t.Errorf("the page does not say %q: %s", s, body)
				}
			}
			if after := a.do(t, "GET", "/api/products/a", "").Header.Get("ETag"); after != before {
				t.Error("the product was changed")
			}
			if page, _ := a.store.List(t.Context(), product.Query{Limit: 9}); len(page.Products) != 1 {
				t.Error("a product was made")
			}
		})
	}
}

func TestWhatIsDoneIsNotAnybodysToWrite(t *testing.T) {
	a := newApp(t, nil)
	if body := read(t, a.do(t, "GET", "/?done=You+won", "")); strings.Contains(body, "You won") {
		t.Error("the page shows a text from its address")
	}
	if res := a.do(t, "GET", "/nowhere", ""); res.StatusCode != 404 {
		t.Errorf("no page: %s", res.Status)
	}
}
