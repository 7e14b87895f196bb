package ecs

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

var agent = Agent{ID: "7", Host: "here", Version: "1.2", Site: "ams3"}

func TestAHostIsTheMemberElseTheMachineThatTheLabelsName(t *testing.T) {
	id := strings.Repeat("0a", 32)
	for _, c := range []struct {
		name   string
		labels []string
		want   Source
	}{
		{"nothing", nil, Source{}},
		{"a recorded series", []string{"job", "web"}, Source{Service: "web"}},
		{"an address", []string{"instance", "10.0.0.4:9100", "job", "node"}, Source{Host: "10.0.0.4", Address: "10.0.0.4:9100", Service: "node"}},
		{"a bare name", []string{"instance", "db-1"}, Source{Host: "db-1", Address: "db-1"}},
		{"IPv6", []string{"instance", "[2001:db8::1]:9100"}, Source{Host: "2001:db8::1", Address: "[2001:db8::1]:9100"}},
		{"IPv6 without a port", []string{"instance", "2001:db8::1"}, Source{Host: "2001:db8::1", Address: "2001:db8::1"}},
		{"a URL", []string{"instance", "https://example.org/x"}, Source{Host: "example.org", Address: "https://example.org/x"}},
		{"loopback", []string{"instance", "127.0.0.1:9480"}, Source{Host: "here", Address: "127.0.0.1:9480"}},
		{"loopback by name", []string{"instance", "localhost:9480"}, Source{Host: "here", Address: "localhost:9480"}},
		{"loopback of IPv6", []string{"instance", "[::1]:9480"}, Source{Host: "here", Address: "[::1]:9480"}},
		{"any address", []string{"instance", "0.0.0.0:9480"}, Source{Host: "here", Address: "0.0.0.0:9480"}},
		{"no host", []string{"instance", ":9480"}, Source{Host: "here", Address: ":9480"}},
		{"a member", []string{"instance", "10.0.0.4:80", "member", "web-1", "host", "h"}, Source{Host: "web-1", Address: "10.0.0.4:80"}},
		{"a host", []string{"instance", "10.0.0.4:80", "host", "h", "nodename", "n"}, Source{Host: "h", Address: "10.0.0.4:80"}},
		{"a node", []string{"nodename", "n"}, Source{Host: "n"}},
		{"a container", []string{"id", id, "name", "orders", "image", "postgres:15"}, Source{ContainerID: id, ContainerName: "orders", ContainerImage: "postgres:15"}},
		{"cAdvisor's container", []string{"id", "/system.slice/docker-" + id + ".scope", "name", "orders"}, Source{ContainerID: id, ContainerName: "orders"}},
		{"an id of something else", []string{"id", "42", "name", "x", "image", "y"}, Source{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := SourceOf(labels.FromStrings(c.labels...), agent); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCommonFieldsAndASourceBeginADocument(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 123456789, time.FixedZone("", 3600))
	b := agent.Append(nil, Stream{"metrics", "prometheus.collector", "default"}, at, "prometheus", "collector")
	b = append(Source{Host: "web-1", Service: `a"b`}.Append(b), '}')
	want := `{"@timestamp":"2026-11-20T09:00:00.123Z","ecs.version":"8.11.0",` +
		`"data_stream.type":"metrics","data_stream.dataset":"prometheus.collector","data_stream.namespace":"default",` +
		`"event.dataset":"prometheus.collector","event.module":"prometheus","event.kind":"metric","metricset.name":"collector",` +
		`"agent.id":"7","agent.name":"here","agent.type":"flyball","agent.version":"1.2","labels.site":"ams3",` +
		`"host.name":"web-1","service.name":"a\"b"}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if !json.Valid(b) {
		t.Error("not JSON")
	}
	b = Agent{}.Append(nil, Stream{"logs", "flyball.scaling", "default"}, at, "flyball", "")
	for _, part := range []string{`"event.kind":"event"`, `"agent.type":"flyball"`} {
		if !strings.Contains(string(b), part) {
			t.Errorf("%s lacks %s", b, part)
		}
	}
	if strings.Contains(string(b), "metricset") || strings.Contains(string(b), "labels.site") {
		t.Errorf("%s has fields without a value", b)
	}
}

func FuzzAStringIsReadBackAsItWas(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\n\t\x00\x1f\x7f", "ø€\U0001f600", "\xff\xfea\xc3", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		b := AppendString(nil, s)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := string([]rune(s)); got != want || !utf8.Valid(b) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
