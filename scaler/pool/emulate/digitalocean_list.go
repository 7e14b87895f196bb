package emulate

import (
	"net/http"
	"net/url"
	"strconv"
)

// page answers with the part of a list that is asked for: page, from 1, of per_page,
// 20 if it is not said and 200 at most, with links to the others as far as there are
// any. Assumed: a per_page above 200 is taken as 200, and a page that is no number as 1.
func page[T any](rw http.ResponseWriter, r *http.Request, name string, all []*T) {
	q := r.URL.Query()
	per := min(number(q.Get("per_page"), 20), 200)
	at := number(q.Get("page"), 1)
	last := max(1, (len(all)+per-1)/per)
	part := []*T{}
	if at <= last {
		part = append(part, all[(at-1)*per:min(at*per, len(all))]...)
	}
	reply(rw, http.StatusOK, map[string]any{
		name:    part,
		"links": links(r, at, last),
		"meta":  map[string]int{"total": len(all)},
	})
}

// number reads a number from 1 on.
func number(text string, otherwise int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

// links are those to the other pages; one page has none.
func links(r *http.Request, at, last int) map[string]any {
	pages := map[string]string{}
	if at > 1 {
		pages["first"], pages["prev"] = pageURL(r, 1), pageURL(r, at-1)
	}
	if at < last {
		pages["next"], pages["last"] = pageURL(r, at+1), pageURL(r, last)
	}
	if len(pages) == 0 {
		return map[string]any{}
	}
	return map[string]any{"pages": pages}
}

func pageURL(r *http.Request, n int) string {
	q := r.URL.Query()
	q.Set("page", strconv.Itoa(n))
	u := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	return origin(r) + u.String()
}

// origin is where the API is, as who asks sees it.
func origin(r *http.Request) string {
	if r.URL.Host != "" {
		return r.URL.Scheme + "://" + r.URL.Host
	}
	if r.Host != "" {
		return "http://" + r.Host
	}
	return "https://api.digitalocean.com"
}

// whole is a list as it is, or, where the fault says so, half of it.
func whole[T any](w *World, r *http.Request, all []*T) []*T {
	if !w.befalls("partial_list", subject(r)) {
		return all
	}
	var half []*T
	for i := 0; i < len(all); i += 2 {
		half = append(half, all[i])
	}
	return half
}
