package container

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flyball/collector/exporter"
)

// with puts containers into a watch that asks nobody.
func watchOf(t testing.TB, socket string, cs ...Container) *Watch {
	t.Helper()
	w := watch(t, socket)
	for _, c := range cs {
		w.set.put(c)
	}
	return w
}

func TestATargetHasTheLabelsThatPrometheusGivesIt(t *testing.T) {
	c, err := parseInspect(recorded(t, "docker-inspect.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := watchOf(t, "unix:///run/docker.sock", c).Targets()
	want := []Target{{Addr: "172.19.0.3:8080", Labels: map[string]string{
		"__meta_docker_container_id":                               c.ID,
		"__meta_docker_container_name":                             "/web-1",
		"__meta_docker_container_network_mode":                     "shop_default",
		"__meta_docker_container_label_com_docker_compose_project": "shop",
		"__meta_docker_container_label_com_docker_compose_service": "web",
		"__meta_docker_container_label_flyball_job":                "shop",
		"__meta_docker_container_label_flyball_path":               "/internal/metrics",
		"__meta_docker_container_label_flyball_port":               "8080",
		"__meta_docker_network_id":                                 "d2c3",
		"__meta_docker_network_name":                               "backend",
		"__meta_docker_network_ip":                                 "172.19.0.3",
		"__meta_docker_port_private":                               "8080",
		"__metrics_path__":                                         "/internal/metrics",
		"job":                                                      "shop",
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWhereATargetIs(t *testing.T) {
	port := map[string]string{LabelPort: "9000"}
	bridge := []Network{{Name: "bridge", IP: "172.17.0.2"}}
	for _, c := range []struct {
		name   string
		socket string
		c      Container
		want   string // "": it is none
	}{
		{"its address", "unix:///s", Container{Labels: port, State: Running, Networks: bridge}, "172.17.0.2:9000"},
		{"an address of the sixth version", "unix:///s", Container{Labels: port, State: Running, Networks: []Network{{Name: "n", IP: "fd00::2"}}}, "[fd00::2]:9000"},
		{"the first network with an address", "unix:///s", Container{Labels: port, State: Running, Networks: append([]Network{{Name: "a"}}, bridge...)}, "172.17.0.2:9000"},
		{"the network of the host", "unix:///s", Container{Labels: port, State: Running, NetworkMode: "host", Networks: []Network{{Name: "host"}}}, "localhost:9000"},
		{"the network of another machine", "tcp://10.0.0.9:2375", Container{Labels: port, State: Running, NetworkMode: "host"}, "10.0.0.9:9000"},
		{"the network of another container", "unix:///s", Container{Labels: port, State: Running, NetworkMode: "container:other"}, "172.17.0.9:9000"},
		{"a network of nobody", "unix:///s", Container{Labels: port, State: Running, NetworkMode: "container:gone"}, ""},
		{"a published port", "unix:///s", Container{Labels: port, State: Running, published: map[string]address{"9000/tcp": {"0.0.0.0", "31000"}}}, "localhost:31000"},
		{"a port published at one address", "unix:///s", Container{Labels: port, State: Running, published: map[string]address{"9000/tcp": {"192.0.2.4", "31000"}}}, "192.0.2.4:31000"},
		{"another port published", "unix:///s", Container{Labels: port, State: Running, published: map[string]address{"80/tcp": {"", "31000"}}}, ""},
		{"no network at all", "unix:///s", Container{Labels: port, State: Running, NetworkMode: "none"}, ""},
		{"it has ended", "unix:///s", Container{Labels: port, State: Exited, Networks: bridge}, ""},
		{"it is paused", "unix:///s", Container{Labels: port, State: Paused, Networks: bridge}, ""},
		{"no label", "unix:///s", Container{State: Running, Networks: bridge}, ""},
		{"a label that is no port", "unix:///s", Container{Labels: map[string]string{LabelPort: "http"}, State: Running, Networks: bridge}, ""},
		{"port 0", "unix:///s", Container{Labels: map[string]string{LabelPort: "0"}, State: Running, Networks: bridge}, ""},
		{"a member of a pool", "unix:///s", Container{Labels: map[string]string{LabelPort: "9000", LabelPool: "web"}, State: Running, Networks: bridge}, ""},
	} {
		c.c.ID = "it"
		got := ""
		for _, target := range watchOf(t, c.socket, c.c, Container{ID: "other", Networks: []Network{{Name: "bridge", IP: "172.17.0.9"}}}).Targets() {
			got = target.Addr
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestContainersThatShareANetworkInACircleEndTheSearch(t *testing.T) {
	port := map[string]string{LabelPort: "9000"}
	w := watchOf(
		t, "unix:///s",
		Container{ID: "a", Labels: port, State: Running, NetworkMode: "container:b"}, Container{ID: "b", NetworkMode: "container:a"},
	)
	if got := w.Targets(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestMistakesOfAConfiguration(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   []string
	}{
		{"the defaults", Config{Name: "local"}, nil},
		{"all of it", Config{Name: "local", Socket: "tcp://10.0.0.9:2375", Timeout: 1e9, Labels: []string{"a.b", "c"}, Include: "web-.*", Exclude: "x|y"}, nil},
		{"nothing", Config{}, []string{".name"}},
		{"a path", Config{Name: "a", Socket: "/run/docker.sock"}, []string{".socket"}},
		{"a relative path", Config{Name: "a", Socket: "unix://run/docker.sock"}, []string{".socket"}},
		{"no port", Config{Name: "a", Socket: "tcp://engine"}, []string{".socket"}},
		{"another protocol", Config{Name: "a", Socket: "ssh://engine:22"}, []string{".socket"}},
		{"no time", Config{Name: "a", Timeout: 1}, []string{".timeout"}},
		{"labels that become the same", Config{Name: "a", Labels: []string{"a.b", "", "a-b"}}, []string{".labels[1]", ".labels[2]"}},
		{"no patterns", Config{Name: "a", Include: "(", Exclude: "[", Labels: nil}, []string{".exclude", ".include"}},
		{"a pattern that closes ours", Config{Name: "a", Include: "a)|(b"}, []string{".include"}},
	} {
		var got []string
		for _, m := range c.config.Validate() {
			if m.Text == "" || m.Hint == "" {
				t.Errorf("%s: %+v says too little", c.name, m)
			}
			got = append(got, m.Field)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if _, err := Dial("ssh://engine"); err == nil || exporter.Reason(err) == "" {
		t.Error("dialled ssh")
	}
}
