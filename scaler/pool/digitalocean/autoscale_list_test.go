package digitalocean

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

func TestAnUnknownAutoscalePoolIsNamed(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.withAutoscale(fixed(1))
		c.config.AutoscalePool = "00000000-0000-4000-8000-000000000009"
		p := c.autoscale()
		_, _, err := p.Look(t.Context())
		for _, err := range []error{err, p.Grow(t.Context(), to(journal.Grow, 2)), p.Remove(t.Context(), to(journal.Remove, 1))} {
			if err == nil || !strings.Contains(err.Error(), "doctl compute droplet-autoscale list") {
				t.Errorf("got %v, want where to copy the id from", err)
			}
		}
	})
}

func TestSizesBeyondAnAutoscalePoolAreRefused(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		p := c.withAutoscale(fixed(1))
		for _, err := range []error{p.Grow(t.Context(), to(journal.Grow, 1001)), p.Remove(t.Context(), to(journal.Remove, 0))} {
			if err == nil || !strings.Contains(err.Error(), "min and max of the rule") {
				t.Errorf("got %v, want what to write", err)
			}
		}
	})
}

func TestAnAnswerWithAnotherSizeIsAFailure(t *testing.T) {
	within := func(doc map[string]any, keys ...string) map[string]any {
		for _, k := range keys {
			doc, _ = doc[k].(map[string]any)
		}
		return doc
	}
	for _, tt := range []struct {
		name   string
		pool   func(*cloud)
		again  func(*cloud) scaler.Pool
		change func(doc map[string]any)
	}{
		{
			"autoscale pool", func(c *cloud) { c.withAutoscale(fixed(1)) }, func(c *cloud) scaler.Pool { return c.autoscale() },
			func(doc map[string]any) { within(doc, "autoscale_pool", "config")["target_number_instances"] = 2 },
		},
		{
			"node pool", func(c *cloud) { c.withNodes(1) }, func(c *cloud) scaler.Pool { return c.nodes() },
			func(doc map[string]any) { within(doc, "node_pool")["count"] = 2 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
				tt.pool(c)
				c.answers(answering{on: "PUT /v2/", change: tt.change})
				err := tt.again(c).Grow(c.t.Context(), to(journal.Grow, 3))
				if err == nil || !strings.Contains(err.Error(), "2") {
					c.t.Errorf("got %v, want that 2 is not what was asked for", err)
				}
			})
		})
	}
}

func TestAMemoIsReadOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, reads := newMemo[int](), 0
		get := func(age time.Duration) int {
			v, err := m.get(t.Context(), time.Now, age, func(context.Context) (int, error) {
				reads++
				time.Sleep(time.Second)
				return reads, nil
			})
			if err != nil {
				t.Error(err)
			}
			return v
		}
		done := make(chan int)
		for range 5 {
			go func() { done <- get(time.Minute) }()
		}
		for range 5 {
			if v := <-done; v != 1 {
				t.Errorf("got reading %d, want the first", v)
			}
		}
		m.forget()
		if v := get(time.Minute); v != 2 {
			t.Errorf("got reading %d after something was done, want a new one", v)
		}
		go func() { done <- get(0) }()
		synctest.Wait()
		m.forget() // while it is read
		<-done
		if v := get(time.Minute); v != 4 {
			t.Errorf("got reading %d, want one that was begun after something was done", v)
		}
	})
}

func TestAMemoMayBeOlderWhereCallsAreShort(t *testing.T) {
	now := time.Unix(1e9, 0)
	m := newMemo[string]()
	get := func(err error) (string, error) {
		return m.get(t.Context(), func() time.Time { return now }, restAge, func(context.Context) (string, error) { return "known", err })
	}
	if _, err := get(nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if v, err := get(errSpent); v != "known" || err != nil {
		t.Errorf("after a minute: %q, %v; want what was known", v, err)
	}
	if _, err := get(errors.New("failed")); err == nil {
		t.Error("a failure is hidden")
	}
	now = now.Add(time.Minute)
	if _, err := get(errSpent); !errors.Is(err, errSpent) {
		t.Errorf("after two minutes: %v, want that calls are short", err)
	}
}

func FuzzPoolsAreReadOrRefused(f *testing.F) {
	for _, doc := range []string{
		`{"id":"x","name":"edge","config":{"target_number_instances":2},"droplet_template":{"size":"s"},"status":"active","active_resources_count":2}`,
		`{"name":"edge","config":{"min_instances":1,"max_instances":3},"droplet_template":{}}`,
		`{"nAme":"edge","config":{"TARGET_number_instances":1},"droplet_templAte":{}}`, `{"name":"edge","config":null}`, `[]`, `{`, `null`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := parsePool(doc)
		if err != nil {
			return
		}
		body, err := p.sized(7)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parsePool(body)
		if err != nil || again.target() != 7 || again.Name != p.Name {
			t.Errorf("%s became %s: %v", doc, body, err)
		}
	})
}
