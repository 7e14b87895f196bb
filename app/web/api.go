package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"flyball/app/product"
)

// The size of a page of a listing.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// representation is a product as JSON.
type representation struct {
	ID         string             `json:"id"`
	Type       string             `json:"type"`
	Name       string             `json:"name"`
	Parameters product.Parameters `json:"parameters"`
	Created    time.Time          `json:"created"`
	Updated    time.Time          `json:"updated"`
}

// listing is a page of products as JSON.
type listing struct {
	Products []representation `json:"products"`
	Next     string           `json:"next,omitempty"` // path of the next page
}

func represent(p product.Product) representation {
	ps := p.Parameters
	if ps == nil {
		ps = product.Parameters{}
	}
	return representation{ID: p.ID, Type: p.Type, Name: p.Name, Parameters: ps, Created: p.Created, Updated: p.Updated}
}

func (s *Service) create(w http.ResponseWriter, r *http.Request) {
	p, err := readProduct(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	p.ID = product.NewID(s.now())
	made, err := s.keepNew(r.Context(), p)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answerNew(w, made)
}

// keepNew keeps a new product, of now.
func (s *Service) keepNew(ctx context.Context, p product.Product) (product.Product, error) {
	p.Created = s.now().UTC().Truncate(time.Microsecond)
	p.Updated = p.Created
	if err := p.Validate(); err != nil {
		return product.Product{}, err
	}
	return s.store.Create(ctx, p)
}

func (s *Service) answerNew(w http.ResponseWriter, p product.Product) {
	w.Header().Set("Location", "/api/products/"+p.ID)
	s.answer(w, http.StatusCreated, p)
}

func (s *Service) answer(w http.ResponseWriter, code int, p product.Product) {
	w.Header().Set("ETag", etag(p.Version))
	sendJSON(w, code, represent(p))
}

func sendJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // the path of the next page stays one that people can copy
	enc.Encode(v)
}

func (s *Service) get(w http.ResponseWriter, r *http.Request) {
	p, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if known, _ := parseTags(r.Header.Values("If-None-Match"), true); known.has(p.Version) {
		w.Header().Set("ETag", etag(p.Version))
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.answer(w, http.StatusOK, p)
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	page, err := s.store.List(r.Context(), q)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out := listing{Products: make([]representation, len(page.Products))}
	for i, p := range page.Products {
		out.Products[i] = represent(p)
	}
	if page.Next != "" {
		next := r.URL.Query()
		next.Set("page", page.Next)
		out.Next = "/api/products?" + next.Encode()
		w.Header().Set("Link", "<"+out.Next+`>; rel="next"`)
	}
	sendJSON(w, http.StatusOK, out)
}

// parseQuery reads the parameters of a listing. A mistyped one is refused: passed
// over, it would list something else than was asked for.
func parseQuery(v url.Values) (product.Query, error) {
	q := product.Query{Limit: defaultLimit, Type: v.Get("type"), Token: v.Get("page")}
	for name, values := range v {
		if name != "type" && name != "limit" && name != "page" {
			return q, badRequest("No query parameter of this name: give type, limit or page.")
		}
		if len(values) > 1 {
			return q, badRequest(name + ": given more than once.")
		}
	}
	if q.Type != "" {
		if err := product.ValidType(q.Type); err != nil {
			return q, badRequest("type: no product can have this type.")
		}
	}
	if v.Has("limit") {
		n, err := strconv.Atoi(v.Get("limit"))
		if err != nil || n < 1 || n > maxLimit {
			return q, badRequest("limit: must be a number from 1 to " + strconv.Itoa(maxLimit) + ".")
		}
		q.Limit = n
	}
	return q, nil
}

func (s *Service) put(w http.ResponseWriter, r *http.Request) {
	c, err := parseCondition(r.Header)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if c.none() {
		s.refuse(w, r, newProblem(http.StatusPreconditionRequired,
			"Send If-Match with the ETag that you read, or If-None-Match: * to create a product with this id."))
		return
	}
	p, err := readProduct(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	p.ID = r.PathValue("id")
	if c.absent {
		s.putNew(w, r, p)
		return
	}
	s.putChanged(w, r, p, c.match)
}

// putNew answers 412, and not the 409 of a POST, when the product exists: that it
// does not was the client's condition.
func (s *Service) putNew(w http.ResponseWriter, r *http.Request, p product.Product) {
	made, err := s.keepNew(r.Context(), p)
	if errors.Is(err, product.ErrExists) {
		err = newProblem(http.StatusPreconditionFailed, "A product with this id exists.")
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answerNew(w, made)
}

// keepChanged replaces a product, as of now.
func (s *Service) keepChanged(ctx context.Context, p product.Product) (product.Product, error) {
	if err := p.Validate(); err != nil {
		return product.Product{}, err
	}
	p.Updated = s.now().UTC().Truncate(time.Microsecond)
	return s.store.Update(ctx, p)
}

func (s *Service) putChanged(w http.ResponseWriter, r *http.Request, p product.Product, match tags) {
	version, err := s.version(r, match)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	p.Version = version
	changed, err := s.keepChanged(r.Context(), p)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, changed)
}

func (s *Service) delete(w http.ResponseWriter, r *http.Request) {
	c, err := parseCondition(r.Header)
	if err == nil && c.absent {
		err = badRequest("If-None-Match makes no sense when something is deleted.")
	}
	var version string
	if err == nil && !c.none() {
		version, err = s.version(r, c.match)
	}
	if err == nil {
		err = s.store.Delete(r.Context(), r.PathValue("id"), version)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// version is the one that a write demands: "" is any. Of several that would do, it
// is the one that the product has now.
func (s *Service) version(r *http.Request, match tags) (string, error) {
	switch {
	case match.any:
		return "", nil
	case len(match.versions) == 1:
		return match.versions[0], nil
	}
	p, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return "", err
	}
	if !match.has(p.Version) {
		return "", product.ErrConflict
	}
	return p.Version, nil
}
