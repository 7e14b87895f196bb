package container

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

// A podman is a real engine in one test. Its containers carry the test's own
// prefix and end with it.
type podman struct {
	*testservers.Podman
	t      testing.TB
	prefix string
	image  string
}

func realPodman(t testing.TB) *podman {
	t.Helper()
	p := testservers.SharedPodman(t)
	e := &podman{Podman: p, t: t, prefix: strings.ToLower(t.Name()[4:min(len(t.Name()), 30)]) + "-"}
	e.image = p.Image(t, "load", "flyball/collector/container/testdata/load")
	t.Cleanup(func() {
		for _, id := range strings.Fields(p.Run(t, "ps", "-aq", "--filter", "name=^"+e.prefix)) {
			p.Run(t, "rm", "-f", "-t", "0", id)
		}
	})
	return e
}

func (p *podman) watch(set ...func(*Config)) *Watch {
	p.t.Helper()
	return watch(p.t, p.Socket(), append(set, func(c *Config) { c.Include = p.prefix + ".*" })...)
}

// start starts a container; flags, then -- and arguments of its program.
func (p *podman) start(name string, flags ...string) {
	p.t.Helper()
	args := []string{}
	if i := slices.Index(flags, "--"); i >= 0 {
		flags, args = flags[:i], flags[i+1:]
	}
	p.Run(p.t, slices.Concat([]string{"run", "-d", "--name", p.prefix + name}, flags, []string{p.image}, args)...)
}

// post tells a container's program what to do.
func (p *podman) post(name, path string, body []byte) {
	p.t.Helper()
	c := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + p.Address(p.t, p.prefix+name) + ":8080" + path
	eventually(p.t, 10*time.Second, "the container serves", func() bool {
		r, err := c.Get("http://" + p.Address(p.t, p.prefix+name) + ":8080/metrics")
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	})
	r, err := c.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Body.Close()
}

func (p *podman) of(metric, name string, more ...string) string {
	return fmt.Sprintf("%s{%s}", metric, strings.Join(append(append([]string{}, more...), fmt.Sprintf("name=%q", p.prefix+name)), ","))
}

func (p *podman) state(w *Watch, name, state string) func() bool {
	return func() bool {
		return slices.ContainsFunc(w.Containers(), func(c Container) bool { return c.Name == p.prefix+name && c.State == state })
	}
}

func TestLoadInARealContainerMovesItsNumbers(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	p.start("a", "--memory", "128m", "--cpus", "0.5")
	p.post("a", "/burn?for=1ms", nil)
	before := scrape(t, w)
	before.wants(t, toldBy{
		"container_up": 1,
		p.of("container_spec_memory_limit_bytes", "a"): 128 << 20,
		p.of("container_cpu_limit_cores", "a"):         0.5,
		p.of("container_restarts_total", "a"):          0,
	})

	p.post("a", "/burn?for=500ms", nil)
	p.post("a", fmt.Sprintf("/eat?bytes=%d", 40<<20), nil)
	p.post("a", "/take", make([]byte, 2<<20))
	after := scrape(t, w)
	for metric, atLeast := range map[string]float64{
		p.of("container_cpu_usage_seconds_total", "a", `cpu="total"`):              0.1, // half a second, at half a core, on a busy machine
		p.of("container_memory_working_set_bytes", "a"):                            40 << 20,
		p.of("container_memory_usage_bytes", "a"):                                  40 << 20,
		p.of("container_network_receive_bytes_total", "a", `interface="network"`):  2 << 20,
		p.of("container_network_transmit_bytes_total", "a", `interface="network"`): 1000,
	} {
		if moved := after[metric] - before[metric]; moved < atLeast {
			t.Errorf("%s moved by %g, from %g, want at least %g", metric, moved, before[metric], atLeast)
		}
	}
	if _, v1 := os.Stat("/sys/fs/cgroup/cgroup.controllers"); v1 != nil {
		after.lacks(t, "container_fs_", "container_network_receive_packets", "container_cpu_cfs_", "container_memory_cache")
	}
}

func TestARealContainerIsKnownAndGoneWithinASecond(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	run(t, w)
	p.start("a")
	eventually(t, time.Second, "it is known", p.state(w, "a", Running))
	scrape(t, w).wants(t, toldBy{p.of("container_restarts_total", "a"): 0})
	p.Run(t, "pause", p.prefix+"a")
	eventually(t, time.Second, "it is paused", p.state(w, "a", Paused))
	p.Run(t, "unpause", p.prefix+"a")
	eventually(t, time.Second, "it runs again", p.state(w, "a", Running))
	network := p.prefix + "net"
	p.Run(t, "network", "create", network)
	t.Cleanup(func() { p.Run(t, "network", "rm", "-f", network) })
	p.Run(t, "network", "connect", network, p.prefix+"a")
	eventually(t, time.Second, "it is in a second network", func() bool { return len(w.Containers()[0].Networks) == 2 })
	p.Run(t, "network", "disconnect", network, p.prefix+"a")
	eventually(t, time.Second, "it has left it", func() bool { return len(w.Containers()[0].Networks) == 1 })
	p.Run(t, "rename", p.prefix+"a", p.prefix+"b")
	eventually(t, time.Second, "it has its new name", p.state(w, "b", Running))
	p.Run(t, "rm", "-f", "-t", "0", p.prefix+"b")
	eventually(t, time.Second, "it is gone", func() bool { return len(w.Containers()) == 0 })
}

func TestARealProcessThatIsKilledShowsItsCode(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	run(t, w)
	p.start("a")
	pid, err := strconv.Atoi(p.Run(t, "inspect", "--format", "{{.State.Pid}}", p.prefix+"a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "it has ended", p.state(w, "a", Exited)) // podman notices when its own helper has run
	got := scrape(t, w)
	got.wants(t, toldBy{p.of("container_exit_code", "a"): 137})
	got.lacks(t, p.of("container_memory_usage_bytes", "a"), p.of("container_last_seen", "a"))
}

func TestARealContainerThatIsStartedAgainAndAgainCountsIt(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	run(t, w)
	p.start("a", "--restart", "on-failure:3", "--", "exit", "9")
	eventually(t, 20*time.Second, "it was started three more times", func() bool {
		cs := w.Containers()
		return len(cs) == 1 && cs[0].Restarts == 3 && cs[0].State == Exited
	})
	scrape(t, w).wants(t, toldBy{p.of("container_restarts_total", "a"): 3, p.of("container_exit_code", "a"): 9})
}

func TestARealContainerOutOfMemory(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	run(t, w)
	p.start("a", "--memory", "32m", "--memory-swap", "32m", "--", "eat")
	eventually(t, 20*time.Second, "it has ended", p.state(w, "a", Exited))
	got := scrape(t, w)
	got.wants(t, toldBy{p.of("container_exit_code", "a"): 137})
	if p.Run(t, "inspect", "--format", "{{.State.OOMKilled}}", p.prefix+"a") != "true" {
		t.Skip("this podman does not see on this kernel why the container was killed; recorded engines stand for it")
	}
	got.wants(t, toldBy{p.of("container_oom_events_total", "a"): 1})
}

func TestARealCheckOfHealthIsTold(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	run(t, w)
	p.start("a", "--health-cmd", "/program exit 1", "--health-interval", "disable", "--health-retries", "1")
	eventually(t, 5*time.Second, "it is starting", func() bool { return len(w.Containers()) == 1 && w.Containers()[0].Health == Starting })
	scrape(t, w).wants(t, toldBy{p.of("container_health_state", "a"): -1})
	p.Command("healthcheck", "run", p.prefix+"a").Run() // its exit code says what is told below
	eventually(t, 5*time.Second, "it is unhealthy", func() bool { return w.Containers()[0].Health == Unhealthy })
	scrape(t, w).wants(t, toldBy{p.of("container_health_state", "a"): 0})
}

func TestARealContainerIsATargetAtItsAddress(t *testing.T) {
	p := realPodman(t)
	w := p.watch()
	run(t, w)
	p.start("a", "--label", LabelPort+"=8080", "--label", LabelJob+"=load")
	var targets []Target
	eventually(t, 5*time.Second, "there is a target", func() bool {
		targets = w.Targets()
		return len(targets) == 1
	})
	if l := targets[0].Labels; l["__meta_docker_container_name"] != "/"+p.prefix+"a" || l["job"] != "load" || l["__meta_docker_network_name"] != p.Network() {
		t.Errorf("labels: %v", l)
	}
	c := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, 10*time.Second, "it can be scraped", func() bool {
		r, err := c.Get("http://" + targets[0].Addr + "/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b) == "load_up 1\n"
	})
	p.Run(t, "stop", "-t", "0", p.prefix+"a")
	eventually(t, time.Second, "it is no target any more", func() bool { return len(w.Targets()) == 0 })
}

func TestARealEngineThatHangsOrIsKilledIsDownWithinOneScrapeAndComesBack(t *testing.T) {
	p := realPodman(t)
	p.start("a")
	w := p.watch(timeout(2 * time.Second))
	run(t, w)
	for _, c := range []struct {
		reason     string
		harm, mend func(testing.TB)
	}{
		{"timeout", p.Freeze, p.Thaw},
		{"refused", p.Kill, p.Restart},
	} {
		c.harm(t)
		got := scrape(t, w)
		got.wants(t, toldBy{"container_up": 0, `container_down{reason="` + c.reason + `"}`: 1})
		got.lacks(t, "container_state")
		c.mend(t)
		scrape(t, w).wants(t, toldBy{"container_up": 1, p.of("container_restarts_total", "a"): 0})
		eventually(t, 15*time.Second, "events are followed again", w.set.isLive)
	}
	p.Run(t, "rm", "-f", "-t", "0", p.prefix+"a")
	eventually(t, time.Second, "events are heard", func() bool { return len(w.Containers()) == 0 })
}

func TestManyRealContainers(t *testing.T) {
	const n = 30
	p := realPodman(t)
	for i := range n {
		p.start(fmt.Sprint(i), "--memory", "32m", "--network", "none")
	}
	w := p.watch(timeout(30 * time.Second))
	for _, followed := range []bool{false, true} {
		if followed {
			run(t, w)
		}
		begun := time.Now()
		used := peak(func() {
			if got := gather(t, w, "container_memory_usage_bytes"); got != n {
				t.Errorf("%d containers told what they use, want %d", got, n)
			}
		})
		t.Logf("%d containers, events followed: %v: scraped in %s with at most %d kB more in use", n, followed, time.Since(begun).Round(time.Millisecond), used/1000)
	}
}
