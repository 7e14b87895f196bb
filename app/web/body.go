package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"

	"flyball/app/product"
)

// maxBody is the most bytes of a request's body. The largest valid product has
// fewer, but for one that escapes every character.
const maxBody = 128 << 10

// bounded reads the whole body before the request may wait for a worker: a slow
// client holds none.
func (s *Service) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			s.refuse(w, r, newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", maxBody)))
			return
		case err != nil:
			s.refuse(w, r, badRequest("The body could not be read to its end."))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		h.ServeHTTP(w, r)
	})
}

// readProduct reads what a client may set from a request's body.
func readProduct(r *http.Request) (product.Product, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return product.Product{}, newProblem(http.StatusUnsupportedMediaType, "Send the body as application/json.")
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return product.Product{}, fmt.Errorf("read body: %w", err)
	}
	return parseProduct(b)
}

// parseProduct reads {"type", "name", "parameters"} strictly: what is not JSON is a
// 400, and a member that is unknown, given twice or of another type is a 422 that
// names every such member. Lengths are only looked
// at when something else is wrong already.
func parseProduct(b []byte) (product.Product, error) {
	if !json.Valid(b) {
		return product.Product{}, badRequest(notJSON(b))
	}
	var p product.Product
	faults, err := object(b, "", func(name string, raw json.RawMessage) []fault {
		switch name {
		case "type":
			return text(raw, name, &p.Type)
		case "name":
			return text(raw, name, &p.Name)
		case "parameters":
			var fs []fault
			p.Parameters, fs = parameters(raw)
			return fs
		}
		return []fault{{pointer(name), "is not known here: type, name and parameters are"}}
	})
	if err != nil {
		return product.Product{}, err
	}
	if len(faults) > 0 {
		return product.Product{}, unprocessable(withLengths(faults, p)...)
	}
	return p, nil
}

// withLengths adds what else is wrong with what could be read, so that a client
// hears of every mistake at once.
func withLengths(faults []fault, p product.Product) []fault {
	p.ID = "x" // not in the body
	var more product.Faults
	if !errors.As(p.Validate(), &more) {
		return faults
	}
	for _, m := range pointers(more) {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.Pointer == m.Pointer }) {
			faults = append(faults, m)
		}
	}
	return faults
}

func notJSON(b []byte) string {
	var v any
	var syntax *json.SyntaxError
	if err := json.Unmarshal(b, &v); errors.As(err, &syntax) {
		return fmt.Sprintf("The body is not JSON: at byte %d: %s.", syntax.Offset, syntax)
	}
	return "The body is not JSON."
}

// object walks the members of a valid JSON text that has to be an object.
func object(b []byte, at string, member func(name string, raw json.RawMessage) []fault) ([]fault, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return []fault{{"#" + at, "must be an object"}}, nil
	}
	var faults []fault
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, badRequest("The body is not JSON.")
		}
		name, _ := t.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, badRequest("The body is not JSON.")
		}
		if seen[name] {
			faults = append(faults, fault{"#" + at + pointer(name)[1:], "is given twice"})
			continue
		}
		seen[name] = true
		faults = append(faults, member(name, raw)...)
	}
	return faults, nil
}

func text(raw json.RawMessage, name string, into *string) []fault {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, into) != nil {
		return []fault{{pointer(name), "must be a string"}}
	}
	return nil
}

func parameters(raw json.RawMessage) (product.Parameters, []fault) {
	ps := product.Parameters{}
	faults, err := object(raw, "/parameters", func(name string, raw json.RawMessage) []fault {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			return []fault{{pointer("parameters", name), "is not JSON"}}
		}
		ps[name] = v
		return nil
	})
	if err != nil {
		return nil, []fault{{pointer("parameters"), "is not JSON"}}
	}
	return ps, faults
}
