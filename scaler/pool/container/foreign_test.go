package container

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flyball/deploy/testservers"
	"flyball/rules"
	"flyball/scaler/pool/pooltest"
)

// stranger runs a container of somebody else's, and returns its ID.
func stranger(t *testing.T, name string, args ...string) rules.MemberID {
	t.Helper()
	engine := testservers.SharedPodman(t)
	id := engine.Run(t, append(append([]string{"run", "-d", "--name", name}, args...), image(t))...)
	t.Cleanup(func() { engine.Run(t, "rm", "-f", "-t", "0", id) })
	return rules.MemberID(id)
}

func TestContainersOfOthersAreNeverTouched(t *testing.T) {
	p := testPool(t, nil)
	mine, err := p.mark()
	if err != nil {
		t.Fatal(err)
	}
	strangers := map[string]rules.MemberID{
		"a name of ours":           stranger(t, "web-1"),
		"another owner":            stranger(t, "web-2", "-l", labelPool+"=web", "-l", labelMember+"=web-2", "-l", labelOwner+"=other"),
		"labels that are copied":   stranger(t, "copy", "-l", labelPool+"=web", "-l", labelMember+"=web-3", "-l", labelOwner+"="+mine),
		"another pool":             stranger(t, "web-4", "-l", labelPool+"=web2", "-l", labelMember+"=web-4", "-l", labelOwner+"="+mine),
		"a member that is no name": stranger(t, "odd", "-l", labelPool+"=web", "-l", labelOwner+"="+mine),
	}
	err = p.Grow(t.Context(), step("web-1", "web-2", "web-4", "web-5"))
	for _, want := range []string{
		"start web-1: the name is taken by a container that is no member of this pool: rename or remove it",
		"start web-2: the name is taken by a container that is no member of this pool: another Flyball made it",
		"write owner: other", "start web-4: the name is taken",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	ms := pooltest.Look(t, p)
	if len(ms) != 1 || ms[0].Name != "web-5" {
		t.Fatalf("members are %+v", ms)
	}
	for _, id := range strangers {
		ms = append(ms, rules.Member{ID: id})
	}
	pooltest.Until(t, "the end of web-5", func() bool {
		remove(t, p, ms...)
		return len(pooltest.Look(t, p)) == 0
	})
	for what, id := range strangers {
		if c := inspect(t, p, id); !c.State.Running {
			t.Errorf("%s: is %s", what, c.State.Status)
		}
	}
}

func TestAMemberThatIsRenamedIsLetGo(t *testing.T) {
	p := testPool(t, nil)
	m := pooltest.Grow(t, p, "web-1")[0]
	testservers.SharedPodman(t).Run(t, "rename", string(m.ID), "quarantine")
	if ms := pooltest.Look(t, p); len(ms) != 0 {
		t.Fatalf("members are %+v", ms)
	}
	remove(t, p, m)
	if now := pooltest.Grow(t, p, "web-1"); len(now) != 1 || now[0].ID == m.ID {
		t.Errorf("members are %+v", now)
	}
	awaitService(t, m)
}

func TestALostFolderAdoptsItsMembersAndAnotherFolderDoesNot(t *testing.T) {
	p := testPool(t, nil)
	m := pooltest.Grow(t, p, "web-1")[0]
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	if ms := pooltest.Look(t, newPool(t, p.cfg, p.dir)); len(ms) != 1 || ms[0].ID != m.ID || ms[0].Addr != m.Addr {
		t.Errorf("the same folder, emptied: %+v, want %+v", ms, m)
	}

	other := newPool(t, p.cfg, t.TempDir())
	if ms := pooltest.Look(t, other); len(ms) != 0 {
		t.Errorf("another folder: %+v", ms)
	}
	remove(t, other, m)
	awaitService(t, m)

	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(p.dir, moved); err != nil {
		t.Fatal(err)
	}
	if ms := pooltest.Look(t, newPool(t, p.cfg, moved)); len(ms) != 1 || ms[0].ID != m.ID {
		t.Errorf("the folder in another place: %+v", ms)
	}
}

func TestMembersAreTakenOverWhenTheConfigurationNamesTheirOwner(t *testing.T) {
	p := testPool(t, nil)
	m := pooltest.Grow(t, p, "web-1")[0]
	c, dir := p.cfg, t.TempDir()
	c.Owner, _ = p.mark()
	if ms := pooltest.Grow(t, newPool(t, c, dir), "web-1"); len(ms) != 1 || ms[0].ID != m.ID {
		t.Errorf("told to take over: %+v", ms)
	}
	c.Owner = ""
	if ms := pooltest.Look(t, newPool(t, c, dir)); len(ms) != 1 || ms[0].ID != m.ID {
		t.Errorf("taken over once: %+v", ms)
	}
}

func TestDamagedFilesAreErrorsThatNameThem(t *testing.T) {
	for file, text := range map[string]string{"owner": "\n", notesFile: "{"} {
		p := testPool(t, nil)
		if err := os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Look(t.Context()); err == nil || !strings.Contains(err.Error(), filepath.Join(p.dir, file)) {
			t.Errorf("got %v, want an error that names %s", err, file)
		}
	}
}
