package container

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"flyball/deploy/testservers"
	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/pooltest"
)

// TestMain lets the test binary be a Flyball that dies.
func TestMain(m *testing.M) {
	if len(os.Args) > 5 && os.Args[1] == "flyball" {
		flyballMain(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	}
	os.Exit(testservers.Main(m))
}

// poolUnderTest is the name of every pool; each test removes its containers.
const poolUnderTest = "web"

// image builds the members' image.
func image(t *testing.T) string {
	t.Helper()
	return testservers.SharedPodman(t).Image(t, "flyball-member", "flyball/scaler/pool/container/testdata/member")
}

func config(t *testing.T) Config {
	t.Helper()
	return Config{
		Socket: testservers.SharedPodman(t).Socket(), Image: image(t), Port: 8080, Pull: pullNever,
		Grace: 50 * time.Millisecond, Env: map[string]string{},
	}
}

// newPool is the pool whose folder is dir, as a new program would find it.
func newPool(t *testing.T, c Config, dir string) *Pool {
	t.Helper()
	p, err := New(poolUnderTest, c, Env{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.engine.Close() })
	return p
}

// testPool is a new pool, whose members are removed in the end.
func testPool(t *testing.T, change func(*Config)) *Pool {
	t.Helper()
	c := config(t)
	engine := newPool(t, c, t.TempDir()).engine // whatever is changed
	if change != nil {
		change(&c)
	}
	clear(t, engine)
	return newPool(t, c, t.TempDir())
}

// clear removes whatever a test leaves that bears the pool's label.
func clear(t *testing.T, cl *client.Client) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		all := client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", labelPool+"="+poolUnderTest)}
		pooltest.Until(t, "an engine without containers of the test", func() bool {
			cs, err := cl.ContainerList(ctx, all)
			_ = each(len(cs.Items), func(i int) error { // what fails is tried again
				_, _ = cl.ContainerKill(ctx, cs.Items[i].ID, client.ContainerKillOptions{Signal: "SIGKILL"})
				_, err := cl.ContainerRemove(ctx, cs.Items[i].ID, client.ContainerRemoveOptions{})
				return err
			})
			return err == nil && len(cs.Items) == 0
		})
	})
}

func inspect(t *testing.T, p *Pool, id rules.MemberID) container.InspectResponse {
	t.Helper()
	res, err := p.engine.ContainerInspect(t.Context(), string(id), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return res.Container
}

// kill ends a member's process behind the engine's back.
func kill(t *testing.T, p *Pool, m rules.Member) {
	t.Helper()
	if err := syscall.Kill(inspect(t, p, m.ID).State.Pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// get asks a member.
func get(m rules.Member, path string) (string, error) {
	res, err := http.Get("http://" + m.Addr + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func awaitService(t *testing.T, m rules.Member) {
	t.Helper()
	pooltest.Until(t, "service of "+m.Name, func() bool {
		_, err := get(m, "/wishes")
		return err == nil
	})
}

func step(names ...string) journal.Step {
	return journal.Step{ID: "s", Verb: journal.Grow, Names: names}
}

func removal(ms ...rules.Member) journal.Step {
	s := journal.Step{ID: "r", Verb: journal.Remove}
	for _, m := range ms {
		s.Victims = append(s.Victims, m.ID)
	}
	return s
}

func remove(t *testing.T, p *Pool, ms ...rules.Member) {
	t.Helper()
	if err := p.Remove(t.Context(), removal(ms...)); err != nil {
		t.Fatal(err)
	}
}

func TestPoolKeepsTheContract(t *testing.T) {
	pooltest.Run(t, func(t *testing.T) pooltest.Harness {
		p := testPool(t, nil)
		return pooltest.Harness{
			Pool:     p,
			Again:    func(t *testing.T) scaler.Pool { return newPool(t, p.cfg, p.dir) },
			Kill:     func(t *testing.T, m rules.Member) { kill(t, p, m) },
			Stubborn: func(*testing.T) { p.cfg.Env["STUBBORN"] = "1" },
			Booted:   func(t *testing.T, m rules.Member) { awaitService(t, m) },
			Refused:  "no/name",
		}
	})
}
