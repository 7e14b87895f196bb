package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"flyball/app/product"
)

// problem is an answer that is not the wanted one, in the form of RFC 9457. It is
// an error, so that what finds it need not know how it is sent.
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail,omitempty"`
	Errors []fault `json:"errors,omitempty"`
}

// fault is one mistake in a body.
type fault struct {
	Pointer string `json:"pointer"` // into the body, as a URI fragment (RFC 6901)
	Detail  string `json:"detail"`
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

func newProblem(status int, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func badRequest(detail string) *problem  { return newProblem(http.StatusBadRequest, detail) }
func unavailable(detail string) *problem { return newProblem(http.StatusServiceUnavailable, detail) }

func unprocessable(faults ...fault) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "The product is not valid; see errors.")
	p.Errors = faults
	return p
}

// asProblem says what a client is told of an error. An error that nobody foresaw
// is the server's own and none of the client's business.
func asProblem(err error) *problem {
	var known *problem
	var faults product.Faults
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &faults):
		return unprocessable(pointers(faults)...)
	case errors.Is(err, product.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no product with this id.")
	case errors.Is(err, product.ErrExists):
		return newProblem(http.StatusConflict, "A product with this id exists.")
	case errors.Is(err, product.ErrConflict):
		return newProblem(http.StatusPreconditionFailed, "The product was changed since it was read: read it again.")
	case errors.Is(err, product.ErrPageToken):
		return badRequest("page: not a page of this listing; begin again without it.")
	case errors.Is(err, product.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		return unavailable("The store is busy. Try again later.")
	case errors.Is(err, context.Canceled):
		return newProblem(statusGone, "The client went away.")
	}
	return newProblem(http.StatusInternalServerError, "Something went wrong here. It has been logged.")
}

func pointers(fs product.Faults) []fault {
	out := make([]fault, len(fs))
	for i, f := range fs {
		out[i] = fault{Pointer: pointer(strings.SplitN(f.Field, "/", 2)...), Detail: f.Detail}
	}
	return out
}

// pointer writes a JSON pointer to a member of the body.
func pointer(names ...string) string {
	r := strings.NewReplacer("~", "~0", "/", "~1")
	for i, n := range names {
		names[i] = r.Replace(n)
	}
	return "#/" + strings.Join(names, "/")
}

// refuse answers with a problem, and logs it if it is the server's own.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := asProblem(err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

func (s *Service) methodNotAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		s.refuse(w, r, newProblem(http.StatusMethodNotAllowed, "Allowed here: "+allow+"."))
	}
}

func (s *Service) noSuchPath(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, newProblem(http.StatusNotFound, "Nothing is served under this path."))
}

func (s *Service) crossOrigin(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, newProblem(http.StatusForbidden, "A browser sent this from another site's page."))
}
