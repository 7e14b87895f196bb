package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

// value asks PromQL for one number.
func (r *rig) value(query string) (v float64, ok bool) {
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if !r.get("/api/v1/query?query="+url.QueryEscape(query), &answer) || len(answer.Data.Result) != 1 {
		return 0, false
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// becomes waits until an expression has a value.
func (r *rig) becomes(query string, want float64, within time.Duration) {
	r.t.Helper()
	r.until(fmt.Sprintf("%s becomes %g", query, want), within, func() bool {
		v, ok := r.value(query)
		return ok && v == want
	})
}

const everything = `
prometheus: {global: {scrape_interval: 1s, scrape_timeout: 1s}}
collect:
  postgres:
    - {name: primary, dsn: "postgres://flyball@%s/postgres", password_file: password}
    - {name: standby, dsn: "postgres://flyball@%s/postgres", password_file: password}
  haproxy: [{name: edge, socket: %s}]
  containers: [{name: local, socket: "%s"}]
  cassandra: [{name: ring, hosts: [%s], port: %d, discover: false}]
`

// TestItWatchesRealServers runs the service over a database with its standby, a
// ring, a proxy and a container engine, all real.
func TestItWatchesRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five servers")
	}
	primary := testservers.StartPostgres(t)
	primary.SQL(t, "postgres", "CREATE USER flyball PASSWORD 'not-to-be-told' IN ROLE pg_monitor")
	standby := primary.Standby(t, "standby")
	edge := testservers.StartHAProxy(t, "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n"+
		"listen web\n  bind 127.0.0.1:{{port \"web\"}}\n  server a 127.0.0.1:1\n")
	podman := testservers.SharedPodman(t)
	ring := testservers.SharedCassandra(t)
	config := fmt.Sprintf(everything, primary.Addr(), standby.Addr(), edge.Socket(), podman.Socket(), ring.Hosts()[0], ring.Port())
	r := &rig{t: t, dir: t.TempDir(), addr: freeAddress(t)}
	r.write("password", "not-to-be-told\n")
	r.write("flyball.yaml", "listen: "+r.addr+"\n"+config)
	t.Cleanup(r.clear)
	r.start()

	for _, up := range []string{
		`pg_up{instance="primary"}`, `pg_up{instance="standby"}`, `haproxy_up{instance="edge"}`,
		`container_up{instance="local"}`, `cassandra_up{instance="ring"}`,
	} {
		r.becomes(up, 1, 30*time.Second)
	}
	r.becomes(`pg_replication_is_replica{instance="standby"}`, 1, 10*time.Second)
	r.becomes(`haproxy_server_check_missing{instance="edge",server="a"}`, 1, 10*time.Second)

	t.Run("a container is scraped as soon as it runs, and gone as soon as it ends", func(t *testing.T) {
		image := podman.Image(t, "member", "flyball/scaler/pool/container/testdata/member")
		podman.Run(t, "run", "-d", "--name", "shop", "--label", "flyball.port=8080", image)
		t.Cleanup(func() { podman.Run(t, "rm", "-f", "-i", "shop") })
		begun := time.Now()
		r.becomes(`count(up{job="shop"})`, 1, 10*time.Second)
		t.Logf("scraped after %s", time.Since(begun).Round(time.Millisecond))
		r.becomes(`container_state{name="shop",state="running"}`, 1, 10*time.Second)
		podman.Run(t, "rm", "-f", "shop")
		r.until("the container is gone", 10*time.Second, func() bool {
			_, there := r.value(`up{job="shop"}`)
			return !there
		})
	})
	t.Run("a frozen server is down within a scrape, harms no other, and recovers by itself", func(t *testing.T) {
		primary.Freeze(t)
		r.becomes(`pg_up{instance="primary"}`, 0, 10*time.Second)
		r.becomes(`pg_down{instance="primary",reason="timeout"}`, 1, 10*time.Second)
		r.becomes(`pg_up{instance="standby"}`, 1, 10*time.Second)
		primary.Thaw(t)
		r.becomes(`pg_up{instance="primary"}`, 1, 10*time.Second)
	})
	t.Run("a standby that is promoted says so", func(t *testing.T) {
		standby.Promote(t)
		r.becomes(`pg_replication_is_replica{instance="standby"}`, 0, 10*time.Second)
	})
	if r.page("/collect", "not-to-be-told") || !r.page("/collect", "primary") {
		t.Error("the list of targets tells the password, or no target")
	}
}

// page says whether a page of Flyball contains a text.
func (r *rig) page(path, text string) bool {
	r.t.Helper()
	res, err := http.Get("http://" + r.addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return err == nil && strings.Contains(string(b), text)
}
