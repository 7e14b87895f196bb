package container

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorded is an answer of a real engine.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A recording is an engine that answers as Docker and podman did, on a socket of
// its own.
type recording struct {
	t      testing.TB
	Socket string // unix://...
	server *http.Server

	mu         sync.Mutex
	version    string
	containers map[string]*played
	streams    map[chan []byte]bool
	asked      map[string]int // by what: list, inspect, stats, events, ping
	frozen     chan struct{}  // closed: it answers
	forgets    bool           // it tells of no event
	podman     string         // its version if it is one
	next       int
}

// played is one container of a recording.
type played struct {
	created int
	inspect map[string]any
	stats   []byte
	hangs   bool // its figures do not come
	fails   bool // its figures are an error of the engine's
}

func newRecording(t testing.TB) *recording {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // names of tests are too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	e := &recording{
		t: t, Socket: "unix://" + filepath.Join(dir, "s"), version: "1.43",
		containers: map[string]*played{}, streams: map[chan []byte]bool{}, asked: map[string]int{}, frozen: make(chan struct{}),
	}
	close(e.frozen)
	e.start()
	t.Cleanup(func() {
		e.thaw()
		e.stop()
		os.RemoveAll(dir)
	})
	return e
}

func (e *recording) start() {
	e.t.Helper()
	l, err := net.Listen("unix", strings.TrimPrefix(e.Socket, "unix://"))
	if err != nil {
		e.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", e.ping)
	mux.HandleFunc("GET /{version}/containers/json", e.list)
	mux.HandleFunc("GET /{version}/containers/{id}/json", e.inspect)
	mux.HandleFunc("GET /{version}/containers/{id}/stats", e.stats)
	mux.HandleFunc("GET /{version}/events", e.events)
	e.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-e.answers():
			if e.podman != "" {
				w.Header().Set("Libpod-Api-Version", e.podman)
			}
			mux.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})}
	go e.server.Serve(l)
}

// stop ends the engine at once, with all connections.
func (e *recording) stop() { e.server.Close() }

func (e *recording) freeze() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frozen = make(chan struct{})
}

func (e *recording) thaw() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.frozen:
	default:
		close(e.frozen)
	}
}

func (e *recording) answers() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frozen
}

func (e *recording) count(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked[what]++
}

func (e *recording) timesAsked(what string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[what]
}

func (e *recording) ping(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked["ping"]++
	w.Header().Set("Api-Version", e.version)
}

func (e *recording) speaks(version string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.version = version
}

// refuses reports whether a request's version of the API is not the engine's, as
// engines do.
func (e *recording) refuses(w http.ResponseWriter, r *http.Request) bool {
	if r.PathValue("version") == "v"+e.version {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	fmt.Fprintf(w, `{"message":"client version %s is not supported"}`, r.PathValue("version"))
	return true
}

func (e *recording) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked["list"]++
	if e.refuses(w, r) {
		return
	}
	all := []map[string]any{}
	for id, c := range e.containers {
		all = append(all, map[string]any{
			"Id": id, "Names": []any{c.inspect["Name"]}, "State": dig(c.inspect, "State")["Status"], "Created": c.created,
		})
	}
	json.NewEncoder(w).Encode(all)
}

func (e *recording) inspect(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked["inspect"]++
	if e.refuses(w, r) {
		return
	}
	c := e.containers[r.PathValue("id")]
	if c == nil {
		http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
		return
	}
	json.NewEncoder(w).Encode(c.inspect)
}

func (e *recording) stats(w http.ResponseWriter, r *http.Request) {
	e.count("stats")
	e.mu.Lock()
	c := e.containers[r.PathValue("id")]
	var copied played
	if c != nil {
		copied = *c
	}
	e.mu.Unlock()
	switch {
	case c == nil:
		http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
	case r.FormValue("stream") != "false" || r.FormValue("one-shot") != "true":
		http.Error(w, `{"message":"would take two seconds"}`, http.StatusBadRequest)
	case copied.fails:
		http.Error(w, `{"message":"container is not running"}`, http.StatusConflict)
	case copied.hangs:
		<-r.Context().Done()
	default:
		w.Write(copied.stats)
	}
}

func (e *recording) events(w http.ResponseWriter, r *http.Request) {
	e.count("events")
	stream := make(chan []byte, 100_000)
	e.mu.Lock()
	e.streams[stream] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.streams, stream)
	}()
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case b := <-stream:
			w.Write(b)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// happen tells of an event of a container's.
func (e *recording) happen(id, action string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.happenLocked(id, action)
}

func (e *recording) happenLocked(id, action string) {
	if e.forgets {
		return
	}
	b, err := json.Marshal(map[string]any{"Type": "container", "Action": action, "Actor": map[string]any{"ID": id}})
	if err != nil {
		e.t.Error(err)
	}
	for s := range e.streams {
		s <- append(b, '\n')
	}
}

// add starts a container as an engine recorded it: docker or podman, cgroup v1 or v2.
func (e *recording) add(name, engine, cgroup string) string {
	e.t.Helper()
	id := e.addQuietly(name, engine, cgroup)
	e.happen(id, "create")
	e.happen(id, "start")
	return id
}

func (e *recording) addQuietly(name, engine, cgroup string) string {
	e.t.Helper()
	var inspect map[string]any
	if err := json.Unmarshal(recorded(e.t, engine+"-inspect.json"), &inspect); err != nil {
		e.t.Fatal(err)
	}
	stats := recorded(e.t, engine+"-"+cgroup+"-stats.json")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next++
	id := fmt.Sprintf("%064x", e.next)
	inspect["Id"], inspect["Name"] = id, "/"+name
	e.containers[id] = &played{created: e.next, inspect: inspect, stats: bytes.ReplaceAll(stats, []byte("web-1"), []byte(name))}
	return id
}

// change changes what the engine says of a container, and tells of an event.
func (e *recording) change(id, action string, do func(c *played)) {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.containers[id]
	if c == nil {
		e.t.Fatalf("there is no container %s", id)
	}
	do(c)
	if action != "" {
		e.happenLocked(id, action)
	}
}

// end has a container's process end.
func (e *recording) end(id string, code int, oom bool) {
	e.t.Helper()
	e.change(id, "die", func(c *played) {
		maps.Copy(dig(c.inspect, "State"), map[string]any{"Status": "exited", "Running": false, "ExitCode": code, "OOMKilled": oom})
		c.stats = recorded(e.t, "docker-ended-stats.json")
	})
}

// remove removes a container.
func (e *recording) remove(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, id)
	e.happenLocked(id, "destroy")
}

func dig(m map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		m = m[k].(map[string]any)
	}
	return m
}

// eventually waits until something is so.
func eventually(t testing.TB, within time.Duration, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// names of the containers that a watch knows.
func names(w *Watch) []string {
	var out []string
	for _, c := range w.Containers() {
		out = append(out, c.Name)
	}
	return out
}

func knows(w *Watch, want ...string) func() bool {
	return func() bool { return slices.Equal(names(w), want) }
}
