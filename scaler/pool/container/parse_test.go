package container

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"flyball/rules"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"64MB": 64e6, "1GiB": 1 << 30, "1.5GiB": 3 << 29, "67108864": 64 << 20, "0": 0, "512kB": 512e3, "7B": 7, "2TB": 2e12,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, %v, want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "MB", "64 MB", "64m", "-1", "1e9", "0x10", "NaN", "Inf", "64MBMB", "9999999TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"64MB", "1.5GiB", "0", "7B", "-1", "NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, again Size
		if err := s.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if err := again.UnmarshalText([]byte(s.String())); s < 0 || err != nil || math.Abs(float64(again-s)) > float64(s)/1e6 {
			t.Errorf("%q is %d, written %s, which is %d, %v", text, s, s, again, err)
		}
	})
}

func FuzzNotes(f *testing.F) {
	f.Add([]byte(`{"ab":{"addr":"10.0.0.1:80","asked":"2026-11-21T08:00:00Z","told":true}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		notes, err := decodeNotes(raw)
		if err == nil && notes == nil {
			t.Error("no notes and no error")
		}
	})
}

func TestEveryMistakeOfAConfigurationIsNamed(t *testing.T) {
	good := Config{Image: "registry.example:5000/team/app:1.2", Port: 8080}
	for _, tt := range []struct {
		change func(*Config)
		path   string // "" is no mistake
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Image = "" }, ".image"},
		{func(c *Config) { c.Image = "Not An Image" }, ".image"},
		{func(c *Config) { c.Image = "app@sha256:" + strings.Repeat("a", 64) }, ""},
		{func(c *Config) { c.Pull = "sometimes" }, ".pull"},
		{func(c *Config) { c.Socket = "/run/docker.sock" }, ".socket"},
		{func(c *Config) { c.Socket = "tcp://engine:2375" }, ".socket"},
		{func(c *Config) { c.Port = 0 }, ".port"},
		{func(c *Config) { c.Port = 70000 }, ".port"},
		{func(c *Config) { c.Network = "host" }, ".network"},
		{func(c *Config) { c.Network = "none" }, ".network"},
		{func(c *Config) { c.Network = "container:web-1" }, ".network"},
		{func(c *Config) { c.Network = "app net" }, ".network"},
		{func(c *Config) { c.Network = "app_net.1" }, ""},
		{func(c *Config) { c.Command = []string{"serve", "{addr}"} }, ".command[1]"},
		{func(c *Config) { c.Command = []string{`{"json": {}}`, "{name}:{port}"} }, ""},
		{func(c *Config) { c.Env = map[string]string{"A-B": "1"} }, ".env"},
		{func(c *Config) { c.Env = map[string]string{"A": "{dir}"} }, ".env.A"},
		{func(c *Config) { c.Env = map[string]string{"FLYBALL_IS_NOT_SET": ""} }, ".env.FLYBALL_IS_NOT_SET"},
		{func(c *Config) { c.Env = map[string]string{"PATH": ""} }, ""},
		{func(c *Config) { c.CPUs = -1 }, ".cpus"},
		{func(c *Config) { c.CPUs = 0.001 }, ".cpus"},
		{func(c *Config) { c.Memory = 1000 }, ".memory"},
		{func(c *Config) { c.Pids = -1 }, ".pids"},
		{func(c *Config) { c.Most = -1 }, ".most"},
		{func(c *Config) { c.Grace = time.Millisecond }, ".grace"},
		{func(c *Config) { c.Volumes = []string{"/tmp"} }, ".volumes[0]"},
		{func(c *Config) { c.Volumes = []string{"data:/data", "no/path:/data"} }, ".volumes[1]"},
		{func(c *Config) { c.Volumes = []string{"data:data"} }, ".volumes[0]"},
		{func(c *Config) { c.Volumes = []string{"data:/data:RW!"} }, ".volumes[0]"},
		{func(c *Config) { c.Volumes = []string{"/tmp:/data:ro,Z", "data:/more"} }, ""},
		{func(c *Config) { c.Tmpfs = []string{"tmp"} }, ".tmpfs[0]"},
		{func(c *Config) { c.Labels = map[string]string{"flyball.pool": "x"} }, ".labels"},
		{func(c *Config) { c.Owner = "Me!" }, ".owner"},
	} {
		c := good
		tt.change(&c)
		fs := c.Validate("$")
		if tt.path == "" && len(fs) > 0 || tt.path != "" && (len(fs) != 1 || fs[0].Path != "$"+tt.path || fs[0].Text == "" || fs[0].Hint == "") {
			t.Errorf("%+v: faults %+v, want one at %q", c, fs, tt.path)
		}
	}
}

func TestAVolumeThatIsNotThereIsAMistakeUnlessFlyballIsInAContainer(t *testing.T) {
	c := Config{Image: "app:1", Port: 8080, Volumes: []string{"/nowhere/at/all:/data"}}
	if fs := c.Validate("$"); (len(fs) == 1) == inContainer() {
		t.Errorf("faults %+v", fs)
	}
}

func TestRelativePathsAreBelowTheConfiguration(t *testing.T) {
	c := Config{AuthFile: "login.json", Volumes: []string{"./assets:/assets:ro", "data:/data", "/srv:/srv"}}
	c.Resolve("/etc/flyball")
	if c.AuthFile != "/etc/flyball/login.json" || strings.Join(c.Volumes, " ") != "/etc/flyball/assets:/assets:ro data:/data /srv:/srv" {
		t.Errorf("%+v", c)
	}
}

// recorded is what Docker 27 lists of a container in a network, and of one with
// published ports.
const recorded = `[
{"Id":"8dfafdbc3a40","Names":["/web-1"],"Image":"app:1","Created":1700000000,"Ports":[{"PrivatePort":8080,"Type":"tcp"}],
 "Labels":{"flyball.port":"8080","flyball.member":"web-1"},"State":"running","Status":"Up 5 minutes (healthy)","HostConfig":{"NetworkMode":"appnet"},
 "NetworkSettings":{"Networks":{"appnet":{"NetworkID":"n","EndpointID":"e","Gateway":"172.18.0.1","IPAddress":"172.18.0.7","IPPrefixLen":16,
 "IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"MacAddress":"02:42:ac:12:00:07","DNSNames":null},
 "aaa":{"IPAddress":"172.19.0.7","MacAddress":""}}},"Mounts":[]},
{"Id":"9cd87474be90","Names":["/web-2"],"Image":"app:1","Created":1700000000,
 "Ports":[{"IP":"127.0.0.1","PrivatePort":9000,"PublicPort":1,"Type":"tcp"},{"IP":"127.0.0.1","PrivatePort":8080,"PublicPort":2,"Type":"udp"},
 {"IP":"127.0.0.1","PrivatePort":8080,"PublicPort":32768,"Type":"tcp"}],
 "Labels":{"flyball.port":"8080","flyball.member":"web-2"},"State":"running","NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.2","MacAddress":""}}},"Mounts":[]},
{"Id":"3176a2479c92","Names":["/web-3"],"Image":"app:1","Created":1700000000,"Ports":[],"Labels":{"flyball.port":"8080"},"State":"exited",
 "Status":"Exited (137) 5 seconds ago","NetworkSettings":{"Networks":{"bridge":{"IPAddress":"","MacAddress":""}}},"Mounts":[]},
{"Id":"4cb07b47f9fb","Names":["/web-4"],"Image":"app:1","Created":1700000000,"Ports":[],"Labels":{"flyball.port":"8080"},"State":"running",
 "NetworkSettings":{"Networks":{"six":{"IPAddress":"","GlobalIPv6Address":"fd00::7","MacAddress":""}}},"Mounts":[]}]`

func TestAddressesAsDockerTellsThem(t *testing.T) {
	var cs []container.Summary
	if err := json.Unmarshal([]byte(recorded), &cs); err != nil {
		t.Fatal(err)
	}
	p := &Pool{cfg: Config{Network: "appnet"}}
	for i, want := range []string{"172.18.0.7:8080", "127.0.0.1:32768", "", "[fd00::7]:8080"} {
		if got := p.address(cs[i]); got != want {
			t.Errorf("%s is at %q, want %q", cs[i].Names, got, want)
		}
	}
}

func TestStatesOfContainersAreStatesOfMembers(t *testing.T) {
	p := &Pool{now: time.Now}
	asked := note{Asked: time.Unix(5, 0)}
	for _, tt := range []struct {
		state container.ContainerState
		note  note
		end   *end
		want  rules.State
	}{
		{"running", note{}, nil, rules.Booting},
		{"created", note{}, nil, rules.Booting},
		{"paused", note{}, nil, rules.Booting},
		{"restarting", note{}, nil, rules.Booting},
		{"stopping", note{}, nil, rules.Booting},
		{"removing", note{}, nil, rules.Leaving},
		{"exited", note{}, &end{time.Unix(9, 0), "ended"}, rules.Dead},
		{"dead", note{}, &end{time.Unix(9, 0), "ended"}, rules.Dead},
		{"running", asked, nil, rules.Leaving},
		{"exited", asked, nil, rules.Leaving},
	} {
		m := p.member(container.Summary{ID: "0123456789abcdef", State: tt.state, Created: 3}, tt.note, tt.end)
		if m.State != tt.want || m.Since.IsZero() || !m.Born.Equal(time.Unix(3, 0)) || m.Note == "" {
			t.Errorf("%s, %+v: %+v, want %s", tt.state, tt.note, m, tt.want)
		}
	}
}

func TestHowContainersEnded(t *testing.T) {
	now := time.Unix(1800000000, 0)
	for _, tt := range []struct {
		state *container.State
		want  string
		at    time.Time
	}{
		{&container.State{ExitCode: 0, FinishedAt: "2026-11-21T08:18:44.142882507Z"}, "ended with status 0", time.Date(2026, 11, 21, 8, 18, 44, 142882507, time.UTC)},
		{&container.State{ExitCode: 137, OOMKilled: true}, "ended by signal 9 (killed), out of memory", now},
		{&container.State{ExitCode: 143, FinishedAt: "0001-01-01T00:00:00Z"}, "ended by signal 15 (terminated)", now},
		{&container.State{ExitCode: 255}, "ended with status 255", now},
		{&container.State{ExitCode: 128, Error: " no such device\n"}, "ended with status 128: no such device", now},
		{nil, "ended with a status that is not known", now},
	} {
		if e := endOf(tt.state, now); e.status != tt.want || !e.at.Equal(tt.at) {
			t.Errorf("%+v: %q at %s, want %q at %s", tt.state, e.status, e.at, tt.want, tt.at)
		}
	}
}

func TestAMarkIsTheSameForTheSameFolderAndAnotherForAnother(t *testing.T) {
	_, err := os.Stat("/etc/machine-id")
	if a, b := originOf("/var/lib/flyball/pools/web"), originOf("/var/lib/flyball/pools/web"); (a == b) != (err == nil) || !ownerMark.MatchString(a) {
		t.Errorf("%s and %s", a, b)
	}
	if a, b := originOf("/var/lib/flyball/pools/web"), originOf("/tmp/trial/pools/web"); a == b {
		t.Errorf("both are %s", a)
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	p := testPool(t, nil)
	if _, _, err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	for range 20 {
		q := newPool(t, p.cfg, p.dir)
		if _, _, err := q.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.engine.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors, and %d after twenty pools", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
