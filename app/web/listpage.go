package web

import (
	"net/http"
	"net/url"

	"flyball/app/product"
)

// pageSize is how many products a page lists, shownParameters how many parameters
// of each.
const (
	pageSize        = 20
	shownParameters = 3
)

// listView is what list.html shows.
type listView struct {
	frame
	Query    product.Query
	Products []listed
	First    string // path of the first page
	Next     string // path of the next page; "" on the last
}

// listed is one line of the list.
type listed struct {
	product.Product
	Shown []shown
	More  int
}

type shown struct {
	Name  string
	Value any
}

func (s *Service) listPage(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	q := product.Query{Type: v.Get("type"), Token: v.Get("page"), Limit: pageSize}
	page, err := s.store.List(r.Context(), q)
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	view := listView{frame: frame{Title: "All products", Done: done(v.Get("done")), Style: s.pages.style}, Query: q, First: listPath(q.Type, "")}
	if q.Type != "" {
		view.Title = q.Type
	}
	for _, p := range page.Products {
		view.Products = append(view.Products, line(p))
	}
	if page.Next != "" {
		view.Next = listPath(q.Type, page.Next)
	}
	s.show(w, r, http.StatusOK, "list", view)
}

// done is what the page says after a form has been sent. Only these words are
// shown: the address is anybody's to write.
func done(what string) string {
	switch what {
	case "created":
		return "The product has been added."
	case "saved":
		return "Your changes have been saved."
	case "deleted":
		return "The product has been deleted."
	}
	return ""
}

func line(p product.Product) listed {
	l := listed{Product: p}
	for i, name := range p.Parameters.Names() {
		if i == shownParameters {
			l.More = len(p.Parameters) - i
			break
		}
		v := p.Parameters[name]
		if v == nil {
			v = "null"
		}
		l.Shown = append(l.Shown, shown{name, v})
	}
	return l
}

func listPath(typ, token string) string {
	v := url.Values{}
	if typ != "" {
		v.Set("type", typ)
	}
	if token != "" {
		v.Set("page", token)
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}
