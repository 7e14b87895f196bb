package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// hetzner is as much of Hetzner Cloud's API as the example asks for. A page has two
// servers, so that there are many.
type hetzner struct {
	mu      sync.Mutex
	servers []*server
	next    int
	limit   int
	left    int           // requests until there are too many; 0: any number
	refills time.Duration // from now, when there are too many
	asked   int
}

type server struct {
	ID        int               `json:"id"`
	Name      string            `json:"name"`
	Status    string            `json:"status"`
	Created   time.Time         `json:"created"`
	Labels    map[string]string `json:"labels"`
	PublicNet map[string]any    `json:"public_net"`
}

func (h *hetzner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	h.asked++
	switch {
	case h.left > 0 && h.asked > h.left:
		w.Header().Set("RateLimit-Reset", strconv.FormatInt(time.Now().Add(h.refills).Unix(), 10))
		refuse(w, http.StatusTooManyRequests, "rate_limit_exceeded", "limit of 3600 requests per hour reached")
	case r.Header.Get("Authorization") != "Bearer geheim":
		refuse(w, http.StatusUnauthorized, "unauthorized", "unable to authenticate")
	case r.Method == http.MethodGet:
		h.list(w, r)
	case r.Method == http.MethodPost:
		h.create(w, r)
	case r.Method == http.MethodDelete:
		i := slices.IndexFunc(h.servers, func(s *server) bool { return r.URL.Path == "/v1/servers/"+strconv.Itoa(s.ID) })
		if i < 0 {
			refuse(w, http.StatusNotFound, "not_found", "server not found")
			return
		}
		h.servers = slices.Delete(h.servers, i, i+1)
		_, _ = w.Write([]byte("{}"))
	}
}

// counted are the requests and the servers so far.
func (h *hetzner) counted() (asked, servers int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked, len(h.servers)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func (h *hetzner) list(w http.ResponseWriter, r *http.Request) {
	_, pool, _ := strings.Cut(r.URL.Query().Get("label_selector"), "==")
	all := slices.DeleteFunc(slices.Clone(h.servers), func(s *server) bool { return s.Labels["flyball-pool"] != pool })
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	var next any
	if page*2 < len(all) {
		next = page + 1
	}
	part := append([]*server{}, all[min(len(all), page*2-2):min(len(all), page*2)]...)
	_ = json.NewEncoder(w).Encode(map[string]any{"servers": part, "meta": map[string]any{"pagination": map[string]any{"next_page": next}}})
}

func (h *hetzner) create(w http.ResponseWriter, r *http.Request) {
	var s server
	_ = json.NewDecoder(r.Body).Decode(&s)
	switch {
	case strings.Contains(s.Name, "_"):
		refuse(w, http.StatusUnprocessableEntity, "invalid_input", "name is no host name")
		return
	case slices.ContainsFunc(h.servers, func(o *server) bool { return o.Name == s.Name }):
		refuse(w, http.StatusConflict, "uniqueness_error", "server name is already used")
		return
	case h.limit > 0 && len(h.servers) >= h.limit:
		refuse(w, http.StatusForbidden, "resource_limit_exceeded", "server limit reached")
		return
	}
	h.next++
	s.ID, s.Status, s.Created = h.next, "running", time.Now()
	s.PublicNet = map[string]any{"ipv4": map[string]string{"ip": "203.0.113." + strconv.Itoa(h.next)}}
	h.servers = append(h.servers, &s)
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte("{}"))
}

// example starts a cloud, and returns what makes a pool of it by the example.
func example(t *testing.T) (*hetzner, func(t *testing.T) scaler.Pool) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is missing")
		}
		t.Skip("install python3 to run the example")
	}
	h := &hetzner{}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Command: []string{"testdata/hetzner.py"}, Every: time.Second,
		Env: map[string]string{
			"HCLOUD_ENDPOINT": s.URL + "/v1", "HCLOUD_TOKEN_FILE": token,
			"IMAGE": "app-7", "TYPE": "cx22", "LOCATION": "fsn1", "PORT": "8080",
		},
	}
	c.Resolve(".")
	return h, func(t *testing.T) scaler.Pool {
		p, err := New("web", c, Env{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

func TestTheExampleKeepsTheContract(t *testing.T) {
	pooltest.Run(t, func(t *testing.T) pooltest.Harness {
		h, again := example(t)
		return pooltest.Harness{
			Pool:  again(t),
			Again: again,
			Kill: func(_ *testing.T, m rules.Member) {
				h.mu.Lock()
				defer h.mu.Unlock()
				for _, s := range h.servers {
					if strconv.Itoa(s.ID) == string(m.ID) {
						s.Status = "off"
					}
				}
			},
			Refused: "web_no_name",
		}
	})
}

func TestTheExampleTellsThatThereIsNoCapacity(t *testing.T) {
	h, again := example(t)
	h.limit = 1
	err := again(t).Grow(t.Context(), journal.Step{ID: "s", Verb: journal.Grow, Names: []string{"web-1", "web-2"}, To: 2})
	if !errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(fmt.Sprint(err), "create web-2: server limit reached") {
		t.Errorf("got %v", err)
	}
	if _, made := h.counted(); made != 1 {
		t.Errorf("%d servers were made, want 1", made)
	}
}

func TestTheExampleLeavesACloudAloneThatHasNoRequestsLeft(t *testing.T) {
	for _, tt := range []struct {
		refills     time.Duration
		least, most time.Duration // that it is left alone
	}{
		{20 * time.Second, 15 * time.Second, 21 * time.Second},
		{time.Hour, 55 * time.Second, 61 * time.Second},
		{-time.Hour, 0, 2 * time.Second}, // by another clock
	} {
		h, again := example(t)
		h.left, h.refills = 3, tt.refills // lists, makes two, and is refused the third and fourth
		p := again(t)
		begun := time.Now()
		err := p.Grow(t.Context(), journal.Step{ID: "s", Verb: journal.Grow, Names: []string{"web-1", "web-2", "web-3", "web-4"}, To: 4})
		if err == nil || errors.Is(err, scaler.ErrNoCapacity) || !strings.Contains(err.Error(), "create web-3: limit of 3600 requests per hour reached") {
			t.Errorf("Grow: %v", err)
		}
		if asked, made := h.counted(); asked != 4 || made != 2 {
			t.Errorf("asked %d times, and made %d servers; want it to stop at the first refusal", asked, made)
		}
		is := p.(*Pool).patience.until.Sub(begun)
		if is < tt.least || is > tt.most+time.Since(begun) {
			t.Errorf("left alone for %s, want %s to %s", is, tt.least, tt.most)
		}
	}
	h, again := example(t)
	h.left, h.asked, h.refills = 1, 1, 20*time.Second
	p := again(t)
	for range 2 {
		_, _, err := p.Look(t.Context())
		if asked, _ := h.counted(); err == nil || !strings.Contains(err.Error(), "requests per hour reached") || asked != 2 {
			t.Errorf("Look after %d questions: %v", asked, err)
		}
	}
}
