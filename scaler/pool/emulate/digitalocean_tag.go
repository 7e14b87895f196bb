package emulate

import (
	"net/http"
	"sort"
	"strings"
)

// tag makes a tag that is written as it was first, and returns its lower case.
func (d *DigitalOcean) tag(name string) string {
	low := strings.ToLower(name)
	if _, has := d.tags[low]; !has {
		d.tags[low] = name
	}
	return low
}

func (d *DigitalOcean) routeTags(mux *http.ServeMux) {
	mux.HandleFunc("POST /v2/tags", d.createTag)
	mux.HandleFunc("GET /v2/tags", d.listTags)
	mux.HandleFunc("GET /v2/tags/{tag}", d.withTag(func(rw http.ResponseWriter, _ *http.Request, tag string) {
		reply(rw, http.StatusOK, map[string]any{"tag": d.tagView(tag)})
	}))
	mux.HandleFunc("DELETE /v2/tags/{tag}", d.withTag(d.deleteTag))
	mux.HandleFunc("POST /v2/tags/{tag}/resources", d.withTag(d.tagResources))
	mux.HandleFunc("DELETE /v2/tags/{tag}/resources", d.withTag(d.untagResources))
}

// withTag finds the tag that a path names.
func (d *DigitalOcean) withTag(do func(rw http.ResponseWriter, r *http.Request, tag string)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		low := strings.ToLower(r.PathValue("tag"))
		if _, has := d.tags[low]; !has {
			d.notFound(rw)
			return
		}
		do(rw, r, low)
	}
}

// tagView is a tag as it is shown.
type tagView struct {
	Name      string         `json:"name"`
	Resources map[string]any `json:"resources"`
}

func (d *DigitalOcean) tagView(tag string) *tagView {
	n := 0
	for _, m := range d.present() {
		if d.tagged(m, tag) {
			n++
		}
	}
	count := map[string]int{"count": n}
	return &tagView{d.tags[tag], map[string]any{"count": n, "droplets": count}}
}

// createTag makes one. Assumed: one that there is already is answered as if it were new.
func (d *DigitalOcean) createTag(rw http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name string `json:"name"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	if !tagName.MatchString(asked.Name) {
		d.unprocessable(rw, "Tags may only contain letters, numbers, colons, dashes, and underscores.")
		return
	}
	reply(rw, http.StatusCreated, map[string]any{"tag": d.tagView(d.tag(asked.Name))})
}

func (d *DigitalOcean) listTags(rw http.ResponseWriter, r *http.Request) {
	var out []*tagView
	for low := range d.tags {
		out = append(out, d.tagView(low))
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	page(rw, r, "tags", out)
}

func (d *DigitalOcean) deleteTag(rw http.ResponseWriter, _ *http.Request, tag string) {
	delete(d.tags, tag)
	for _, m := range d.droplets {
		delete(m.tags, tag)
	}
	rw.WriteHeader(http.StatusNoContent)
}

func (d *DigitalOcean) tagResources(rw http.ResponseWriter, r *http.Request, tag string) {
	d.eachResource(rw, r, func(m *droplet) { m.tags[tag] = d.w.at })
}

func (d *DigitalOcean) untagResources(rw http.ResponseWriter, r *http.Request, tag string) {
	d.eachResource(rw, r, func(m *droplet) { delete(m.tags, tag) })
}

// eachResource does something to every Droplet that is named, or to none if one is
// not to be found.
func (d *DigitalOcean) eachResource(rw http.ResponseWriter, r *http.Request, do func(*droplet)) {
	var asked struct {
		Resources []struct {
			ID   string `json:"resource_id"`
			Type string `json:"resource_type"`
		} `json:"resources"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	var found []*droplet
	for _, a := range asked.Resources {
		if a.Type != "droplet" {
			d.unprocessable(rw, "Only Droplets have tags here.")
			return
		}
		m := d.droplet(a.ID)
		if m == nil {
			d.notFound(rw)
			return
		}
		found = append(found, m)
	}
	for _, m := range found {
		do(m)
	}
	rw.WriteHeader(http.StatusNoContent)
}
