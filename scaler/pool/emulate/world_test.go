package emulate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitalocean/godo"

	"flyball/scaler/pool/emulate"
)

// story is what happens to some Droplets in a world of a seed, under faults.
func story(t *testing.T, seed uint64) string {
	var told strings.Builder
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{Seed: seed})
		do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		c := client(t, do, "secret")
		for _, name := range emulate.Names() {
			if name != "slow" { // it would last longer than what is told
				w.Plant(emulate.Fault{Name: name, Share: 0.1})
			}
		}
		for i := range 20 {
			_, resp, err := c.Droplets.Create(context.Background(), web(fmt.Sprintf("web-%d", i)))
			fmt.Fprintln(&told, i, resp != nil, status(err))
			time.Sleep(7 * time.Second)
			ms, _, err := c.Droplets.List(context.Background(), nil)
			for _, m := range ms {
				fmt.Fprintln(&told, m.ID, m.Name, m.Status, m.Tags)
			}
			if len(ms) > 3 {
				_, err = c.Droplets.Delete(context.Background(), ms[0].ID)
			}
			fmt.Fprintln(&told, status(err))
		}
	})
	return told.String()
}

func TestTheSameSeedTellsTheSameStory(t *testing.T) {
	one, same, other := story(t, 1), story(t, 1), story(t, 2)
	if one != same {
		t.Error("the same seed tells another story")
	}
	if one == other || len(one) < 1000 {
		t.Error("another seed tells the same story, or there is none")
	}
}

func TestAFaultBefallsWhatItIsPlantedOnAndNoMore(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		c.world.Plant(emulate.Fault{Name: "error_503", On: "GET /v2/account", Times: 2})
		c.world.Plant(emulate.Fault{Name: "error_500", On: "GET /v2/sizes", Share: 0.5})
		c.world.Plant(emulate.Fault{Name: "never_ready", On: "sick-"})
		for i := range 4 {
			_, _, err := c.c.Account.Get(context.Background())
			if (i < 2) != (status(err) == http.StatusServiceUnavailable) {
				c.Errorf("request %d: %v", i, err)
			}
		}
		wrong := 0
		for range 200 {
			if _, _, err := c.c.Sizes.List(context.Background(), nil); err != nil {
				wrong++
			}
		}
		if wrong < 70 || wrong > 130 || c.world.Befallen("error_500") != wrong {
			c.Errorf("of 200 requests, half of which were to fail, %d did, and %d are said to have", wrong, c.world.Befallen("error_500"))
		}
		time.Sleep(time.Minute)
		c.world.Heal("error_500")
		for range 20 {
			if _, _, err := c.c.Sizes.List(context.Background(), nil); err != nil {
				c.Errorf("it is healed, and: %v", err)
			}
		}
		c.do.AddStranger("sick-1")
		c.do.AddStranger("well-1")
		if ms := c.do.Droplets(); ms[0].Serving || !ms[1].Serving {
			c.Errorf("there are %+v", ms)
		}
	})
}

func TestAFaultThatThereIsNotCannotBePlanted(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it is planted")
		}
	}()
	emulate.NewWorld(emulate.Options{}).Plant(emulate.Fault{Name: "error_418"})
}

func TestEveryFaultSaysWhatItDoes(t *testing.T) {
	for _, name := range emulate.Names() {
		if emulate.About(name) == "" {
			t.Error(name, "says nothing")
		}
	}
}

func TestTheLogHasWholeURLsAndNoSecret(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		c.names()
		q := c.world.Requests()
		want := emulate.Request{At: time.Now(), Method: "GET", URL: "https://api.digitalocean.com/v2/droplets?per_page=200", Status: 200}
		if len(q) != 1 || q[0] != want {
			c.Errorf("the log has %+v", q)
		}
		if strings.Contains(fmt.Sprint(q), "secret") {
			c.Error("the token is in it")
		}
	})
}

// programs are what runs in machines, and what was done to them.
type programs struct {
	mu   sync.Mutex
	did  []string
	fail error
}

func (p *programs) note(what, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.did = append(p.did, what+" "+name)
}

func (p *programs) Boot(name, userData string) (netip.Addr, error) {
	p.note("boot "+userData, name)
	return netip.MustParseAddr("127.0.0.7"), p.fail
}
func (p *programs) Shutdown(name string) { p.note("shutdown", name) }
func (p *programs) Halt(name string)     { p.note("halt", name) }

func (p *programs) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.did, ", ")
}

func TestProgramsRunInTheMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps := &programs{}
		w := emulate.NewWorld(emulate.Options{Machines: ps, BootMin: time.Second, BootMax: time.Second})
		do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		c := cloud{t, w, do, client(t, do, "secret")}
		ctx, end := context.WithCancel(t.Context())
		go func() { _ = w.Run(ctx) }()
		q := web("web-1")
		q.UserData = "#!"
		m, _, err := c.c.Droplets.Create(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if ps.all() != "boot #! web-1" {
			t.Fatalf("without being asked, it did %s", ps.all())
		}
		if addr, _ := c.get(m.ID).PublicIPv4(); addr != "127.0.0.7" {
			t.Errorf("its address is %s", addr)
		}
		if _, _, err := c.c.DropletActions.Shutdown(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if _, _, err := c.c.DropletActions.PowerOn(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, _, err := c.c.DropletActions.PowerCycle(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.Close()
		end()
		synctest.Wait()
		want := "boot #! web-1, shutdown web-1, halt web-1, boot #! web-1, halt web-1, boot #! web-1, halt web-1"
		if ps.all() != want {
			t.Errorf("it did %s", ps.all())
		}
	})
}

func TestAProgramThatCannotBeStartedIsABootThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{Machines: &programs{fail: errors.New("no such program")}})
		do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		c := cloud{t, w, do, client(t, do, "secret")}
		m, resp := c.create("web-1")
		time.Sleep(10 * time.Minute)
		if a := c.action(resp.Links.Actions[0].ID); a.Status != "errored" || c.get(m.ID).Status != "new" {
			t.Errorf("its action is %s, it is %s", a.Status, c.get(m.ID).Status)
		}
	})
}

func TestACloudIsServedOnASocketToo(t *testing.T) {
	w := emulate.NewWorld(emulate.Options{})
	do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{DropletLimit: 100})
	srv := httptest.NewServer(do)
	defer srv.Close()
	hc := srv.Client()
	hc.Transport = bearer{hc.Transport, "secret"}
	c, err := godo.New(hc, godo.SetBaseURL(srv.URL+"/"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		do.AddStranger(fmt.Sprint("web-", i))
	}
	ms, resp, err := c.Droplets.List(t.Context(), nil)
	if err != nil || len(ms) != 20 || !strings.HasPrefix(resp.Links.Pages.Next, srv.URL) {
		t.Fatalf("the list has %d, and goes on at %+v: %v", len(ms), resp.Links.Pages, err)
	}
	w.Plant(emulate.Fault{Name: "lost_after"})
	if _, _, err := c.Droplets.Create(t.Context(), web("lost")); err == nil || status(err) != 0 || len(do.Droplets()) != 31 {
		t.Fatalf("a lost answer: %v, and there are %d", err, len(do.Droplets()))
	}
}

func TestARequestThatIsOverIsNotServed(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		ctx, end := context.WithCancel(context.Background())
		end()
		if _, _, err := c.c.Droplets.Create(ctx, web("web-1")); !errors.Is(err, context.Canceled) || len(c.do.Droplets()) != 0 {
			c.Errorf("it answers %v", err)
		}
	})
}

func TestManyMayAskAtOnce(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{}, func(c cloud) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				c.create(fmt.Sprintf("web-%d", i))
				time.Sleep(time.Minute)
				c.names()
			})
		}
		wg.Wait()
		if got := len(c.do.Droplets()); got != 20 {
			c.Errorf("there are %d", got)
		}
	})
}

// FuzzBody asks for whatever may be asked with whatever body: it is answered, in JSON
// or with nothing, and the account stays within its limit.
func FuzzBody(f *testing.F) {
	paths := []string{
		"POST /v2/droplets", "POST /v2/tags", "POST /v2/tags/web/resources", "DELETE /v2/tags/web/resources",
		"POST /v2/droplets/autoscale", "POST /v2/kubernetes/clusters", "PUT /v2/kubernetes/clusters/%s/node_pools/%s",
		"POST /v2/droplets/%s/actions", "POST /v2/load_balancers/%s/droplets", "GET /v2/droplets?page=%s&per_page=%s",
	}
	f.Add(0, `{"name":"web-1","region":"fra1","size":"c-2","image":"debian-12-x64","ssh_keys":[1,"a"],"tags":["web"]}`)
	f.Add(0, `{"names":["a","b"],"region":"nyc","size":"c-2","image":7}`)
	f.Add(1, `{"name":"web"}`)
	f.Add(2, `{"resources":[{"resource_id":"1","resource_type":"droplet"}]}`)
	f.Add(4, `{"name":"p","config":{"target_number_instances":1000},"droplet_template":{"region":"fra1","ssh_keys":["x"]}}`)
	f.Add(5, `{"name":"k","region":"fra1","node_pools":[{"name":"np","size":"c-2","count":500}]}`)
	f.Add(6, `{"name":"p","count":-1,"auto_scale":true,"min_nodes":3,"max_nodes":2}`)
	f.Add(7, `{"type":"shutdown"}`)
	f.Add(8, `{"droplet_ids":[1,2]}`)
	f.Add(9, `9223372036854775807`)
	f.Fuzz(func(t *testing.T, which int, body string) {
		w := emulate.NewWorld(emulate.Options{})
		do := emulate.NewDigitalOcean(w, emulate.DigitalOceanOptions{})
		id := do.AddStranger("web", "web")
		cl := do.AddCluster("k", "fra1")
		np := do.AddNodePool(cl, "np", "c-2", 1)
		method, path, _ := strings.Cut(paths[uint(which)%uint(len(paths))], " ")
		switch uint(which) % uint(len(paths)) {
		case 6:
			path = fmt.Sprintf(path, cl, np)
		case 7:
			path = fmt.Sprintf(path, fmt.Sprint(id))
		case 8:
			path = fmt.Sprintf(path, do.AddBalancer("fra1", ""))
		case 9:
			path = strings.ReplaceAll(path, "%s", strings.Map(digit, body))
		}
		r := httptest.NewRequest(method, "https://api.digitalocean.com"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer x")
		resp, err := do.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode >= 500 || len(text) > 0 && !strings.HasPrefix(string(text), "{") {
			t.Errorf("%s %s: %d, %s", method, path, resp.StatusCode, text)
		}
		if n := len(do.Droplets()); n > 25 {
			t.Errorf("there are %d Droplets", n)
		}
	})
}

// digit leaves nothing but digits.
func digit(r rune) rune {
	if r < '0' || r > '9' {
		return -1
	}
	return r
}
