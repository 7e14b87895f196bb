package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed html
var html embed.FS

// pages are the templates and what they all need. The pages have no scripts.
type pages struct {
	templates map[string]*template.Template
	style     template.CSS
	policy    string // Content-Security-Policy: this style and nothing else
}

func newPages() (*pages, error) {
	style, err := html.ReadFile("html/style.css")
	if err != nil {
		return nil, fmt.Errorf("read style: %w", err)
	}
	sum := sha256.Sum256(style)
	p := &pages{
		templates: map[string]*template.Template{},
		style:     template.CSS(style),
		policy: "default-src 'none'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
	for _, name := range []string{"list", "edit", "problem"} {
		t, err := template.ParseFS(html, "html/frame.html", "html/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		p.templates[name] = t
	}
	return p, nil
}

// frame is what every page shows.
type frame struct {
	Title string
	Done  string // what has just been done
	Style template.CSS
}

// show sends a page. It is rendered whole before its first byte goes out, so that
// an error is not half a page.
func (s *Service) show(w http.ResponseWriter, r *http.Request, code int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.templates[name].ExecuteTemplate(&b, "frame", data); err != nil {
		s.refuse(w, r, fmt.Errorf("render page %s: %w", name, err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.pages.policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(b.Bytes())
}

// problemPage tells a person what [Service.refuse] tells a program.
func (s *Service) problemPage(w http.ResponseWriter, r *http.Request, err error) {
	p := asProblem(err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	s.show(w, r, p.Status, "problem", struct {
		frame
		Detail string
	}{frame{Title: p.Title, Style: s.pages.style}, p.Detail})
}

func (s *Service) noSuchPage(w http.ResponseWriter, r *http.Request) {
	s.problemPage(w, r, newProblem(http.StatusNotFound, "There is no page here."))
}
