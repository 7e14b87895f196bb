package container

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/moby/moby/client"

	"flyball/rules"
	"flyball/scaler/pool/pooltest"
)

// flyballMain grows web-1, removes it and waits until it is gone, and kills itself
// at a point of that.
func flyballMain(socket, image, dir, point string) {
	p, err := New(poolUnderTest, Config{Socket: socket, Image: image, Port: 8080, Pull: pullNever}, Env{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	p.point = func(at string) {
		if at == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		}
	}
	ctx := context.Background()
	err = p.Grow(ctx, step("web-1"))
	ms, _, lookErr := p.Look(ctx)
	if err != nil || lookErr != nil || len(ms) != 1 {
		fmt.Println(err, lookErr, ms)
		os.Exit(4)
	}
	for len(ms) > 0 && err == nil {
		_ = p.Remove(ctx, removal(ms...))
		ms, _, err = p.Look(ctx)
	}
	fmt.Println("came to the end", err)
	os.Exit(5)
}

// dieAt runs a Flyball that dies at a point.
func dieAt(t *testing.T, p *Pool, point string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), exe, "flyball", p.cfg.Socket, p.cfg.Image, p.dir, point).CombinedOutput()
	if status, ok := err.(*exec.ExitError); !ok || status.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("ended with %v: %s", err, out)
	}
}

// containersOf lists what is on the engine with the pool's label, whatever it is.
func containersOf(t *testing.T, p *Pool) []string {
	t.Helper()
	res, err := p.engine.ContainerList(t.Context(), client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", labelPool+"="+p.name),
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range res.Items {
		out = append(out, fmt.Sprint(c.Names, c.State))
	}
	return out
}

func TestDeathAtAnyPointOrphansAndDoublesNobody(t *testing.T) {
	for _, tt := range []struct {
		point  string
		living int // members after the death
	}{
		{"created", 0}, {"started", 1}, {"asked", 1}, {"told", -1}, {"discarded", 0},
	} {
		t.Run(tt.point, func(t *testing.T) {
			p := testPool(t, nil)
			dieAt(t, p, tt.point)
			ms := pooltest.Look(t, p)
			if tt.living >= 0 && len(ms) != tt.living {
				t.Errorf("%d members are known, want %d", len(ms), tt.living)
			}
			if (tt.point == "asked" || tt.point == "told") && len(ms) == 1 {
				finish(t, p, ms[0])
			} else if tt.living >= 0 {
				repeat(t, p, ms)
			}
			if members, there := pooltest.Look(t, p), containersOf(t, p); len(there) != len(members) {
				t.Errorf("%d members, and on the engine there are %v", len(members), there)
			}
		})
	}
}

// repeat is the open step done again: web-1 is there once, and alive.
func repeat(t *testing.T, p *Pool, before []rules.Member) {
	t.Helper()
	after := pooltest.Grow(t, p, "web-1")
	if len(after) != 1 || after[0].State != rules.Booting {
		t.Fatalf("after the repeated step: %+v", after)
	}
	if len(before) == 1 && before[0].ID != after[0].ID {
		t.Error("the member was replaced")
	}
	awaitService(t, after[0])
}

// finish is the open removal done again.
func finish(t *testing.T, p *Pool, m rules.Member) {
	t.Helper()
	if m.State != rules.Leaving {
		t.Errorf("the member is %s, want leaving", m.State)
	}
	pooltest.Until(t, "the end", func() bool {
		remove(t, p, m)
		return len(pooltest.Look(t, p)) == 0
	})
}

func TestAStartThatWasCutOffIsFinishedByItsStep(t *testing.T) {
	p := testPool(t, nil)
	dieAt(t, p, "created")
	before := containersOf(t, p)
	ms := pooltest.Grow(t, p, "web-1")
	if len(before) != 1 || len(ms) != 1 || ms[0].State != rules.Booting || len(containersOf(t, p)) != 1 {
		t.Errorf("before %v, after %v and %v", before, ms, containersOf(t, p))
	}
	awaitService(t, ms[0])
}

func TestMembersOutliveFlyball(t *testing.T) {
	p := testPool(t, nil)
	dieAt(t, p, "started")
	m := pooltest.Look(t, p)[0]
	awaitService(t, m)
	kill(t, p, m)
	pooltest.Until(t, "death", func() bool { m = pooltest.Look(t, p)[0]; return m.State == rules.Dead })
	if m.Note != "ended by signal 9 (killed)" {
		t.Errorf("note %q", m.Note)
	}
}
