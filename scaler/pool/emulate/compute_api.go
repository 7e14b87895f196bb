package emulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Transport serves the API in process; see [World].
func (c *Compute) Transport() http.RoundTripper { return computeTransport{c} }

// ServeHTTP serves the API on a socket.
func (c *Compute) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	t, r, err := c.door(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	t.ServeHTTP(rw, r)
}

type computeTransport struct{ c *Compute }

func (t computeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	in, r, err := t.c.door(r)
	if err != nil {
		return nil, err
	}
	return in.RoundTrip(r)
}

// door says by which service a request is served: that of tokens asks for none, which
// the world does of everybody, so one is put in. Who waits for an operation waits
// here, since the world cannot be held meanwhile.
func (c *Compute) door(r *http.Request) (transport, *http.Request, error) {
	if r.URL.Path == "/token" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer none")
		return transport{c.w, c.auth}, r, nil
	}
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/wait") {
		parts := strings.Split(r.URL.Path, "/")
		return transport{c.w, c.api}, r, c.await(r.Context(), parts[len(parts)-2])
	}
	return transport{c.w, c.api}, r, nil
}

// A computeError is one in Google's JSON shape.
type computeError struct {
	status          int
	reason, message string
}

func (e *computeError) Error() string { return e.message }

func invalid(format string, args ...any) error {
	return &computeError{http.StatusBadRequest, "invalid", fmt.Sprintf(format, args...)}
}

func notFound(what string) error {
	return &computeError{http.StatusNotFound, "notFound", fmt.Sprintf("The resource '%s' was not found", what)}
}

func notReady(what string) error {
	return &computeError{http.StatusBadRequest, "resourceNotReady", fmt.Sprintf("The resource '%s' is not ready", what)}
}

func conditionNotMet(message string) error {
	return &computeError{http.StatusPreconditionFailed, "conditionNotMet", message}
}

// writeError answers with an error as Google does; a reason of usage limits has a
// domain of its own.
func writeError(rw http.ResponseWriter, e *computeError) {
	type item struct {
		Message string `json:"message"`
		Domain  string `json:"domain"`
		Reason  string `json:"reason"`
	}
	domain := "global"
	if e.reason == "rateLimitExceeded" {
		domain = "usageLimits"
	}
	body := map[string]any{"code": e.status, "message": e.message, "errors": []item{{e.message, domain, e.reason}}}
	if word := statusWord(e.status); word != "" {
		body["status"] = word
	}
	writeJSON(rw, e.status, map[string]any{"error": body})
}

// statusWord names a status as Google's newer errors do beside the number.
func statusWord(status int) string {
	return map[int]string{
		http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED",
		http.StatusServiceUnavailable: "UNAVAILABLE", http.StatusInternalServerError: "INTERNAL",
	}[status]
}

func writeJSON(rw http.ResponseWriter, status int, body any) {
	rw.Header().Set("Content-Type", "application/json; charset=UTF-8")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(body) // an answer is memory
}

// refuseCompute says that nothing was done.
func refuseCompute(a *answer, status int) {
	e := &computeError{status, "backendError", "Internal error. Please try again or contact Google Support."}
	switch status {
	case http.StatusBadRequest:
		e.reason, e.message = "badRequest", "Request payload is too large."
	case http.StatusUnauthorized:
		e.reason, e.message = "authError", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."
	case http.StatusTooManyRequests:
		e = rateLimited()
	}
	writeError(a, e)
}

// rateLimited is what is said of too many requests: 403, and no time to wait.
func rateLimited() *computeError {
	return &computeError{
		http.StatusForbidden, "rateLimitExceeded",
		"Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service 'compute.googleapis.com' for consumer 'project_number:100000000000'.",
	}
}

// count counts a request against the minute's quota, which is refilled on the minute.
func (c *Compute) count(a *answer, _ *http.Request) bool {
	if m := c.w.at.Truncate(time.Minute); !m.Equal(c.minute) {
		c.minute, c.asked = m, 0
	}
	c.asked++
	if c.asked <= c.o.PerMinute {
		return true
	}
	writeError(a, rateLimited())
	return false
}

// A method answers a request with a body, or an error.
type method func(r *http.Request) (any, error)

// routes are the API's paths. What is of a zone or of a region has the same methods.
func (c *Compute) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, m method) {
		verb, at, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(verb+" /compute/v1/projects/{project}/"+at, c.answering(m))
	}
	for _, kind := range []string{"zones", "regions"} {
		in := kind + "/{place}/"
		groups := in + "instanceGroupManagers"
		handle("GET "+kind+"/{place}", c.getPlace)
		handle("GET "+groups, c.listGroups)
		handle("GET "+groups+"/{group}", c.getGroup)
		handle("PATCH "+groups+"/{group}", c.patchGroup)
		handle("GET "+groups+"/{group}/listErrors", c.listErrors)
		handle("POST "+groups+"/{group}/{verb}", c.actOnGroup)
		handle("GET "+in+"operations/{operation}", c.getOperation)
		handle("POST "+in+"operations/{operation}/wait", c.getOperation)
		handle("GET "+in+"autoscalers", c.listAutoscalers)
		handle("GET "+in+"autoscalers/{autoscaler}", c.getAutoscaler)
		handle("PATCH "+in+"autoscalers", c.patchAutoscaler)
	}
	handle("GET zones/{place}/instances", c.listInstances)
	handle("GET zones/{place}/instances/{instance}", c.getInstance)
	handle("DELETE zones/{place}/instances/{instance}", c.deleteInstance)
	handle("GET zones/{place}/machineTypes/{type}", c.getMachineType)
	handle("GET global/instanceTemplates/{template}", c.getTemplate)
	handle("POST global/instanceTemplates", c.insertTemplate)
	handle("GET global/operations/{operation}", c.getOperation)
	handle("POST global/operations/{operation}/wait", c.getOperation)
	mux.HandleFunc("/", c.answering(func(r *http.Request) (any, error) { return nil, notFound(r.URL.Path) }))
	return mux
}

// answering makes a handler of a method, for requests about our project only.
func (c *Compute) answering(m method) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		var body any
		var err error
		if p := r.PathValue("project"); p != "" && p != c.o.Project {
			err = notFound("projects/" + p)
		} else {
			body, err = m(r)
		}
		var e *computeError
		switch {
		case errors.As(err, &e):
			writeError(rw, e)
		case err != nil:
			writeError(rw, &computeError{http.StatusInternalServerError, "backendError", err.Error()})
		default:
			writeJSON(rw, http.StatusOK, body)
		}
	}
}

// placeOf is where what a request is about is: in a zone, a region, or everywhere.
func placeOf(r *http.Request) place {
	in := r.PathValue("place")
	switch {
	case in == "":
		return place{kind: "global"}
	case strings.Contains(r.URL.Path, "/regions/"):
		return place{"regions", in}
	}
	return place{"zones", in}
}

// readJSON reads a request's body, all of it.
func readJSON(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	if err := d.Decode(into); err != nil {
		return &computeError{http.StatusBadRequest, "parseError", "Parse Error: " + err.Error()}
	}
	return nil
}
