package emulate

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// What an account can choose from, as the API shows it.
type (
	region struct {
		Slug      string   `json:"slug"`
		Name      string   `json:"name"`
		Sizes     []string `json:"sizes"`
		Available bool     `json:"available"`
		Features  []string `json:"features"`
	}
	size struct {
		Slug         string   `json:"slug"`
		Memory       int      `json:"memory"` // MiB
		VCPUs        int      `json:"vcpus"`
		Disk         int      `json:"disk"` // GiB
		Transfer     float64  `json:"transfer"`
		PriceMonthly float64  `json:"price_monthly"`
		PriceHourly  float64  `json:"price_hourly"`
		Regions      []string `json:"regions"`
		Available    bool     `json:"available"`
		Description  string   `json:"description"`
	}
	image struct {
		ID           int      `json:"id"`
		Name         string   `json:"name"`
		Type         string   `json:"type"`
		Distribution string   `json:"distribution"`
		Slug         string   `json:"slug,omitempty"`
		Public       bool     `json:"public"`
		Regions      []string `json:"regions"`
		MinDiskSize  int      `json:"min_disk_size"`
		Created      string   `json:"created_at"`
		Status       string   `json:"status"`
	}
	sshKey struct {
		ID          int    `json:"id"`
		Name        string `json:"name"`
		Fingerprint string `json:"fingerprint"`
		PublicKey   string `json:"public_key"`
	}
	vpc struct {
		ID      string `json:"id"`
		URN     string `json:"urn"`
		Name    string `json:"name"`
		Range   string `json:"ip_range"`
		Region  string `json:"region"`
		Created string `json:"created_at"`
		Default bool   `json:"default"`
	}
)

// stock fills the catalogue. Prices are those of 2026, in USD.
func (d *DigitalOcean) stock() {
	names := [][2]string{
		{"nyc1", "New York 1"},
		{"nyc3", "New York 3"},
		{"ams3", "Amsterdam 3"},
		{"fra1", "Frankfurt 1"},
		{"sfo3", "San Francisco 3"},
	}
	slugs := make([]string, 0, len(names))
	for _, n := range names {
		slugs = append(slugs, n[0])
	}
	d.sizes = []*size{
		{Slug: "s-1vcpu-512mb-10gb", Memory: 512, VCPUs: 1, Disk: 10, PriceMonthly: 4, PriceHourly: 0.00595},
		{Slug: "s-1vcpu-1gb", Memory: 1024, VCPUs: 1, Disk: 25, PriceMonthly: 6, PriceHourly: 0.00893},
		{Slug: "s-1vcpu-2gb", Memory: 2048, VCPUs: 1, Disk: 50, PriceMonthly: 12, PriceHourly: 0.01786},
		{Slug: "s-2vcpu-2gb", Memory: 2048, VCPUs: 2, Disk: 60, PriceMonthly: 18, PriceHourly: 0.02679},
		{Slug: "s-2vcpu-4gb", Memory: 4096, VCPUs: 2, Disk: 80, PriceMonthly: 24, PriceHourly: 0.03571},
		{Slug: "c-2", Memory: 4096, VCPUs: 2, Disk: 25, PriceMonthly: 42, PriceHourly: 0.0625},
	}
	for _, s := range d.sizes {
		s.Regions, s.Available, s.Transfer, s.Description = slices.Clone(slugs), true, 1, "Basic"
	}
	for _, n := range names {
		r := &region{Slug: n[0], Name: n[1], Available: true, Features: []string{"metadata", "monitoring"}}
		for _, s := range d.sizes {
			r.Sizes = append(r.Sizes, s.Slug)
		}
		d.regions = append(d.regions, r)
	}
	for _, n := range [][2]string{{"ubuntu-24-04-x64", "Ubuntu"}, {"debian-12-x64", "Debian"}} {
		d.images = append(d.images, &image{
			ID: d.id(), Name: n[0], Type: "base", Distribution: n[1], Slug: n[0], Public: true,
			Regions: slices.Clone(slugs), MinDiskSize: 7, Created: written(d.w.at), Status: "available",
		})
	}
}

func (d *DigitalOcean) region(slug string) *region {
	return first(d.regions, func(r *region) bool { return r.Slug == slug })
}

func (d *DigitalOcean) size(slug string) *size {
	return first(d.sizes, func(s *size) bool { return s.Slug == slug })
}

// image finds one by its slug or its number.
func (d *DigitalOcean) image(name string) *image {
	return first(d.images, func(i *image) bool { return i.Slug == name && name != "" || strconv.Itoa(i.ID) == name })
}

// key finds one by its fingerprint or its number.
func (d *DigitalOcean) key(name string) *sshKey {
	return first(d.keys, func(k *sshKey) bool { return k.Fingerprint == name || strconv.Itoa(k.ID) == name })
}

// first is the first that fits, or none.
func first[T any](of []*T, fits func(*T) bool) *T {
	if i := slices.IndexFunc(of, fits); i >= 0 {
		return of[i]
	}
	return nil
}

func (d *DigitalOcean) routeAccount(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2/account", d.getAccount)
	mux.HandleFunc("GET /v2/account/keys", func(rw http.ResponseWriter, r *http.Request) { page(rw, r, "ssh_keys", d.keys) })
	mux.HandleFunc("POST /v2/account/keys", d.createKey)
	mux.HandleFunc("GET /v2/account/keys/{key}", func(rw http.ResponseWriter, r *http.Request) {
		one(d, rw, "ssh_key", d.key(r.PathValue("key")))
	})
	mux.HandleFunc("GET /v2/regions", func(rw http.ResponseWriter, r *http.Request) { page(rw, r, "regions", d.regions) })
	mux.HandleFunc("GET /v2/sizes", func(rw http.ResponseWriter, r *http.Request) { page(rw, r, "sizes", d.sizes) })
	mux.HandleFunc("GET /v2/images", d.listImages)
	mux.HandleFunc("GET /v2/images/{image}", func(rw http.ResponseWriter, r *http.Request) {
		one(d, rw, "image", d.image(r.PathValue("image")))
	})
	mux.HandleFunc("GET /v2/vpcs", func(rw http.ResponseWriter, r *http.Request) { page(rw, r, "vpcs", d.vpcs) })
	mux.HandleFunc("GET /v2/vpcs/{vpc}", func(rw http.ResponseWriter, r *http.Request) {
		one(d, rw, "vpc", first(d.vpcs, func(v *vpc) bool { return v.ID == r.PathValue("vpc") }))
	})
}

// one answers with a thing under its name, or with 404.
func one[T any](d *DigitalOcean, rw http.ResponseWriter, name string, thing *T) {
	if thing == nil {
		d.notFound(rw)
		return
	}
	reply(rw, http.StatusOK, map[string]*T{name: thing})
}

func (d *DigitalOcean) getAccount(rw http.ResponseWriter, _ *http.Request) {
	reply(rw, http.StatusOK, map[string]any{"account": map[string]any{
		"droplet_limit":     d.o.DropletLimit,
		"floating_ip_limit": 3,
		"volume_limit":      100,
		"email":             "flyball@example.com",
		"uuid":              "00000000-0000-4000-8000-000000000000",
		"email_verified":    true,
		"status":            "active",
		"status_message":    "",
	}})
}

// createKey makes an SSH key. What it is is not looked at.
func (d *DigitalOcean) createKey(rw http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name      string `json:"name"`
		PublicKey string `json:"public_key"`
	}
	if !d.read(rw, r, &asked) {
		return
	}
	if asked.Name == "" || asked.PublicKey == "" {
		d.unprocessable(rw, "name and public_key are required.")
		return
	}
	reply(rw, http.StatusCreated, map[string]*sshKey{"ssh_key": d.addKey(asked.Name, asked.PublicKey)})
}

// addKey makes an SSH key with a fingerprint of its own.
func (d *DigitalOcean) addKey(name, public string) *sshKey {
	k := &sshKey{ID: d.id(), Name: name, PublicKey: public}
	k.Fingerprint = fmt.Sprintf("3b:16:bf:e4:8b:00:8b:b8:59:8c:a9:d3:%02x:%02x:%02x:%02x",
		byte(k.ID>>24), byte(k.ID>>16), byte(k.ID>>8), byte(k.ID))
	d.keys = append(d.keys, k)
	return k
}

// listImages lists all, the account's own, or those of a type.
func (d *DigitalOcean) listImages(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var out []*image
	for _, i := range d.images {
		own, base := q.Get("private") == "true", q.Get("type") == "distribution"
		if (!own || !i.Public) && (!base || strings.HasPrefix(i.Type, "base")) {
			out = append(out, i)
		}
	}
	page(rw, r, "images", out)
}
