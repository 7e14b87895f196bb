package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

const foreignConfig = `
listen: %s
prometheus: {global: {scrape_interval: 1s, scrape_timeout: 900ms}}
elasticsearch:
  urls: [%s]
  namespace: besides
  ship: {every: 1s}
  views: {every: 1s, except: [%s]}
`

// A neighbourhood is a Flyball beside others on one Elasticsearch.
type neighbourhood struct {
	*rig
	es string
}

// besideOthers finds that Elastic's agent fills system.load, and that somebody has an
// index where events are to go.
func besideOthers(t *testing.T) *neighbourhood {
	r := &rig{t: t, dir: t.TempDir(), addr: freeAddress(t)}
	t.Cleanup(r.clear)
	n := &neighbourhood{r, testservers.SharedElasticsearch(t).URL()}
	n.ask("PUT", "/_index_template/agents-load", `{"index_patterns": ["metrics-system.load-*"], "priority": 200, "data_stream": {}}`)
	n.ask("POST", "/metrics-system.load-besides/_doc", `{"@timestamp": "2026-01-01T00:00:00Z"}`)
	n.ask("PUT", "/logs-flyball.config-besides", "")
	n.except("docker.cpu")
	return n
}

func (n *neighbourhood) except(datasets string) {
	n.write("flyball.yaml", fmt.Sprintf(foreignConfig, n.addr, n.es, datasets))
}

// ask sends a request to Elasticsearch, and returns its answer.
func (n *neighbourhood) ask(method, path, body string) string {
	n.t.Helper()
	q, err := http.NewRequestWithContext(n.t.Context(), method, n.es+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusServiceUnavailable { // an index that was just made has no shard yet
		return ""
	}
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		n.t.Fatalf("%s %s: %s %s %v", method, path, res.Status, answer, err)
	}
	return string(answer)
}

// count is how many documents are in data streams.
func (n *neighbourhood) count(streams string) int {
	n.t.Helper()
	n.ask("POST", "/"+streams+"/_refresh?ignore_unavailable=true", "")
	text := n.ask("GET", "/"+streams+"/_count?ignore_unavailable=true", "")
	var answer struct{ Count int }
	if err := json.Unmarshal([]byte(text), &answer); text != "" && err != nil {
		n.t.Fatal(err)
	}
	return answer.Count
}

// command runs Flyball with the configuration.
func (n *neighbourhood) command(args ...string) (code int, out, said string) {
	var o, e bytes.Buffer
	code = run(n.t.Context(), append(args, "--config", filepath.Join(n.dir, "flyball.yaml")), stdio{nil, &o, &e, os.Getenv})
	return code, o.String(), e.String()
}

func (n *neighbourhood) reload() {
	n.t.Helper()
	q, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, "http://"+n.addr+"/-/reload", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(n.dir, "data/token"))
	if err != nil {
		n.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		n.t.Fatal(err)
	}
	res.Body.Close()
}

func (n *neighbourhood) blocked(want string) {
	n.t.Helper()
	n.until("blocked to be "+want, time.Minute, func() bool {
		var st overview
		return n.get("/api/flyball/v1/status", &st) && st.Elasticsearch != nil && st.Elasticsearch.Unready == "" && fmt.Sprint(st.Elasticsearch.Blocked) == want
	})
}

func TestWhatIsSomebodyElsesInElasticsearchIsToldOnceAndTakenUpOnceItIsFree(t *testing.T) {
	n := besideOthers(t)
	code, out, said := n.command("elastic", "setup")
	if code != 0 || said != "" || strings.Count(out, "left alone") != 2 || !strings.Contains(out, "flyball-besides@lifecycle: written\n") ||
		!strings.Contains(out, "      set elasticsearch.namespace to another name, have it removed, or leave the dataset to whoever fills it: views: {except: [system.load]}\n") {
		t.Errorf("setup ends with %d and says %s\n%s", code, said, out)
	}
	if code, out, _ := n.command("doctor"); code != 1 || strings.Count(out, "wrong") != 2 || strings.Contains(out, "run `flyball elastic setup`") {
		t.Errorf("doctor ends with %d:\n%s", code, out)
	}

	n.start()
	n.blocked("[logs-flyball.*-besides metrics-system.load-besides]")
	n.ask("DELETE", "/logs-flyball.config-besides", "")
	n.reload()
	n.blocked("[metrics-system.load-besides]")
	n.until("events", time.Minute, func() bool { return n.count("logs-flyball.*-besides") >= 2 })

	n.except("system.load")
	n.reload()
	n.blocked("[]")
	n.until("samples and datasets", time.Minute, func() bool {
		return n.count("metrics-system.cpu-besides") > 2 && n.count("metrics-prometheus*-besides") > 2
	})
	if code, out, said := n.command("doctor"); code != 0 || regexp.MustCompile(`(?m)^wrong|system\.load`).MatchString(out) {
		t.Errorf("doctor ends with %d and says %s\n%s", code, said, out)
	}
	if got := n.count("metrics-system.load-besides"); got != 1 {
		t.Errorf("of what somebody else fills there are %d documents", got)
	}
}
