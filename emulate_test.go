package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"flyball/rules"
	"flyball/rules/source"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool"
	"flyball/scaler/pool/pooltest"
)

// emulated serves a cloud by hand, and returns what is printed to be put into
// flyball.yaml.
func emulated(t *testing.T, args ...string) (lines string, end func() int) {
	t.Helper()
	return emulatedTo(t, io.Discard, args...)
}

// emulatedTo is the same, and what happens is told to a writer.
func emulatedTo(t *testing.T, told io.Writer, args ...string) (lines string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"emulate", "--listen", "127.0.0.1:0", "--boot", "50ms"}, args...), stdio{nil, w, told, os.Getenv})
		_ = w.Close()
	}()
	t.Cleanup(cancel)
	b := bufio.NewReader(r)
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if lines != "" || strings.HasPrefix(line, "pools:") {
			lines += line
		}
		if strings.Contains(line, "ready:") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return lines, func() int { cancel(); return <-code }
}

// freePort is a port that nobody has on any address of this machine.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// configOf loads the lines of a flyball.yaml.
func configOf(t *testing.T, lines string) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flyball.yaml")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	c, ps := LoadConfig(file)
	if len(ps) > 0 {
		t.Fatalf("the lines that were printed are wrong: %s\n%s", source.Problems(ps), lines)
	}
	return c
}

// grown runs a pool, grown to two members, until do is done.
func grown(t *testing.T, c pool.Config, do func(p scaler.Pool)) {
	t.Helper()
	p, err := pool.New("web", c, pool.Env{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	u := p.Unit()
	if err := u.Pool.Grow(t.Context(), journal.Step{ID: "s", Verb: journal.Grow, Names: []string{"web-1", "web-2"}, To: 2}); err != nil {
		t.Error(err)
	}
	do(u.Pool)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnEmulatedCloudTellsWhatHappensUnlessItIsToBeQuiet(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		var told strings.Builder // written with the world held, and read after its end
		lines, end := emulatedTo(t, &told, "gce", "--port", freePort(t), "--dir", t.TempDir(), "--quiet="+strconv.FormatBool(quiet))
		grown(t, configOf(t, lines).Pools["web"], func(p scaler.Pool) {
			pooltest.Until(t, "two ready members", func() bool {
				ms := pooltest.Look(t, p)
				return len(ms) == 2 && ms[0].State == rules.Ready && ms[1].State == rules.Ready
			})
		})
		if code := end(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if quiet && told.Len() > 0 {
			t.Errorf("it is not quiet: %s", told.String())
		}
		for _, want := range []string{"machine web-1 is made\n", "machine web-2 serves at 127."} {
			if !quiet && !strings.Contains(told.String(), want) {
				t.Errorf("%q is not told:\n%s", want, told.String())
			}
		}
	}
}

func TestNobodyIsWhereAMachineNeverAnswers(t *testing.T) {
	for _, cloud := range []string{"digitalocean", "gce"} {
		t.Run(cloud, func(t *testing.T) {
			lines, end := emulated(t, cloud, "--port", freePort(t), "--fault", "never_ready", "--dir", t.TempDir())
			grown(t, configOf(t, lines).Pools["web"], func(p scaler.Pool) {
				var ms []rules.Member
				pooltest.Until(t, "two members with addresses", func() bool {
					ms = pooltest.Look(t, p)
					return len(ms) == 2 && ms[0].Addr != "" && ms[1].Addr != ""
				})
				for _, m := range ms {
					if a, err := netip.ParseAddrPort(m.Addr); err != nil || !a.Addr().IsLoopback() {
						t.Errorf("%s is at %s, which is not of this machine", m.Name, m.Addr)
					} else if conn, err := net.Dial("tcp", m.Addr); err == nil {
						_ = conn.Close()
						t.Errorf("somebody answers at %s of %s", m.Addr, m.Name)
					}
				}
			})
			if code := end(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestAnEmulatedCloudIsTriedByHand(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"digitalocean":         {"digitalocean", "--port", freePort(t)},
		"gce":                  {"gce", "--port", freePort(t)},
		"digitalocean program": {"digitalocean"},
	} {
		t.Run(name, func(t *testing.T) {
			if len(args) == 1 {
				port := freePort(t)
				args = append(args, "--port", port, "--machine", exe+" balance --listen {addr}:"+port+" --control "+t.TempDir()+"/{name}.sock")
			}
			lines, end := emulated(t, append(args, "--dir", t.TempDir())...)
			c := configOf(t, lines).Pools["web"]
			if strings.Contains(name, "program") {
				c.Ready.HTTP = "" // a balancer of nobody: a connection is enough
			}
			c.Ready.Interval = 20_000_000
			var ms []rules.Member
			grown(t, c, func(p scaler.Pool) {
				pooltest.Until(t, "two ready members", func() bool {
					ms = pooltest.Look(t, p)
					return len(ms) == 2 && ms[0].State == rules.Ready && ms[1].State == rules.Ready
				})
			})
			if code := end(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, m := range ms {
				if conn, err := net.Dial("tcp", m.Addr); err == nil {
					_ = conn.Close()
					t.Errorf("the machine of %s outlived the cloud", m.Name)
				}
			}
		})
	}
}

func TestWrongFaultsAreRefused(t *testing.T) {
	for _, fault := range []string{"nonsense", "error_500=0", "error_500=2", "error_500=101%", "error_500=x", "error_500=NaN", "error_500=-1%"} {
		var out strings.Builder
		code := run(t.Context(), []string{"emulate", "gce", "--fault", fault, "--dir", t.TempDir()}, stdio{nil, &out, &out, os.Getenv})
		if code != 2 || !strings.Contains(out.String(), "--fault") {
			t.Errorf("--fault %s: exit code %d: %s", fault, code, out.String())
		}
	}
	e := emulation{faults: []string{"slow", "error_500=5%,on=POST /v2/droplets", "lost_after=0.5"}}
	got, err := e.planted()
	if err != nil || len(got) != 3 || got[0].Share != 0 || got[1].Share != 0.05 || got[1].On != "POST /v2/droplets" || got[2].Share != 0.5 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFaultsArePlantedAndMachinesDestroyedInAnEmulatedCloudByHand(t *testing.T) {
	for _, cloud := range []string{"digitalocean", "gce"} {
		t.Run(cloud, func(t *testing.T) {
			lines, end := emulated(t, cloud, "--port", freePort(t), "--fault", "slow_boot=10%", "--dir", t.TempDir())
			defer end()
			c := configOf(t, lines).Pools["web"]
			endpoint := ""
			if c.GCE != nil {
				endpoint = c.GCE.Endpoint
			} else {
				endpoint = c.DigitalOcean.Endpoint
			}
			by := func(method, path, body string) string {
				r, err := http.NewRequestWithContext(t.Context(), method, endpoint+"/emulator/"+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				said, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				return string(said)
			}
			by("PUT", "faults/deaf", "5%")
			if said := by("GET", "faults", ""); !strings.Contains(said, "slow_boot=10%") || !strings.Contains(said, "deaf=5%") {
				t.Errorf("the faults are %s", said)
			}
			by("DELETE", "faults", "")
			grown(t, c, func(p scaler.Pool) {
				var ms []rules.Member
				pooltest.Until(t, "two members", func() bool {
					ms = pooltest.Look(t, p)
					return len(ms) == 2 && ms[0].State == rules.Ready && ms[1].State == rules.Ready
				})
				by("DELETE", "machines/web-1", "")
				pooltest.Until(t, "the end of web-1", func() bool {
					conn, err := net.Dial("tcp", ms[0].Addr)
					if err == nil {
						_ = conn.Close()
					}
					return err != nil
				})
			})
		})
	}
}
