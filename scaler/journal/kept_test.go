package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type wish struct {
	Until time.Time
	Parts []string
}

func TestWhatAFollowerKeepsComesBackAfterAReopening(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	var got wish
	if found, err := j.Kept("samples", &got); found || err != nil {
		t.Errorf("nothing was kept and found is %v, %v", found, err)
	}
	ok(t, j.Keep("samples", wish{Until: epoch, Parts: []string{"a"}}))
	ok(t, j.Keep("samples", wish{Until: epoch.Add(time.Minute), Parts: []string{"b", "c"}}))
	ok(t, j.Keep("other", 7))
	ok(t, j.Close())

	j = open(t, dir, Options{})
	found, err := j.Kept("samples", &got)
	ok(t, err)
	if !found || !got.Until.Equal(epoch.Add(time.Minute)) || strings.Join(got.Parts, "") != "bc" {
		t.Errorf("kept %v, %+v", found, got)
	}
	var n int
	if found, err := j.Kept("other", &n); !found || err != nil || n != 7 {
		t.Errorf("the other kept %v, %d, %v", found, n, err)
	}
}

func TestWhatCannotBeKeptOrReadIsAnError(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	if err := j.Keep("x", make(chan int)); err == nil {
		t.Error("a channel was kept")
	}
	ok(t, j.Keep("x", "text"))
	var n int
	if found, err := j.Kept("x", &n); found || err == nil || !strings.Contains(err.Error(), "what x kept") {
		t.Errorf("a text read as a number: %v, %v", found, err)
	}
	ok(t, j.Close())
	if err := j.Keep("x", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("keep after close: %v", err)
	}
}

// TestKeepIsCommittedWithFsync shows that Keep needs nothing but the connection
// that syncs: the other one may not write here.
func TestKeepIsCommittedWithFsync(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	_, err := j.fast.Exec(`PRAGMA query_only = 1`)
	ok(t, err)
	if err := j.SetCursor("x", 1); err == nil {
		t.Error("the connection that may not write does")
	}
	ok(t, j.Keep("x", 1))
	var synchronous int
	ok(t, j.sure.QueryRow(`PRAGMA synchronous`).Scan(&synchronous))
	if synchronous != 2 {
		t.Errorf("synchronous is %d, want 2 (FULL)", synchronous)
	}
}

func TestAnIdentityStaysAndASuccessorHasAnother(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	first := j.Identity()
	ok(t, j.Close())
	j = open(t, dir, Options{})
	if j.Identity() != first || len(first) != 32 {
		t.Errorf("identity %q became %q", first, j.Identity())
	}
	ok(t, j.Close())
	for _, name := range []string{"journal.db", "journal.db-wal", "journal.db-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if j = open(t, dir, Options{}); j.Identity() == first {
		t.Error("a lost journal's successor has its identity")
	}
}

// older makes a journal as the program's first version wrote it, with an open step.
func older(t *testing.T, dir string) {
	t.Helper()
	db, err := connect(filepath.Join(dir, "journal.db"), "NORMAL", 1)
	ok(t, err)
	ok(t, migrate(db, 1, migrations()[0]))
	_, err = db.Exec(`INSERT INTO entries (at, kind, target, id, body) VALUES (1, 'begin', 'pool/web', 's1', '{"id":"s1"}');
		INSERT INTO open_steps VALUES ('pool/web', 1); INSERT INTO cursors VALUES ('alerting', 1);`)
	ok(t, errors.Join(err, db.Close()))
}

func TestAnOlderFileIsMigratedWithAllThatIsInIt(t *testing.T) {
	dir := t.TempDir()
	older(t, dir)
	j := open(t, dir, Options{})
	id := j.Identity()
	if p, err := j.Pending(); err != nil || len(p) != 1 || p[0].ID != "s1" {
		t.Errorf("pending %v, %v, want s1", p, err)
	}
	if seq, err := j.Cursor("alerting"); err != nil || seq != 1 {
		t.Errorf("cursor %d, %v, want 1", seq, err)
	}
	ok(t, j.Keep("x", 1))
	ok(t, j.Close())
	if j = open(t, dir, Options{}); len(id) != 32 || j.Identity() != id {
		t.Errorf("identity %q, and %q after a reopening", id, j.Identity())
	}
}

func TestDamageInTheTablesOfALaterVersionIsFound(t *testing.T) {
	for _, table := range vital(2) {
		t.Run(table, func(t *testing.T) {
			dir := t.TempDir()
			j := open(t, dir, Options{})
			var page int64
			ok(t, j.fast.QueryRow(`SELECT rootpage FROM sqlite_schema WHERE name = ?`, table).Scan(&page))
			ok(t, j.Close())
			spoil(t, filepath.Join(dir, "journal.db"), page)
			j, err := Open(dir, Options{})
			if err == nil {
				ok(t, j.Close())
			}
			if err == nil || !strings.Contains(err.Error(), "damaged in table "+table) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// spoil overwrites a page of a database, but for its kind.
func spoil(t *testing.T, path string, page int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ok(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("\xff", 4000)), (page-1)*4096+1)
	ok(t, errors.Join(err, f.Close()))
}

// keepOn keeps rising numbers for as long as it lives, and says each only after
// the journal has said so.
func keepOn(dir string) error {
	j, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	var n int
	if _, err := j.Kept("storm", &n); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		n++
		if err := j.Keep("storm", n); err != nil {
			return err
		}
		fmt.Println("kept", n)
	}
}

func TestKilledAmidKeepingWhatWasSaidToBeKeptIsThere(t *testing.T) {
	dir, said := t.TempDir(), 0
	for round := range 3 {
		cmd, lines := childOf(t, "FLYBALL_JOURNAL_KEEP="+dir)
		for n := 0; lines.Scan(); n++ {
			var i int
			if _, err := fmt.Sscanf(lines.Text(), "kept %d", &i); err == nil {
				said = max(said, i)
			}
			if n == 40+13*round {
				ok(t, cmd.Process.Kill())
			}
		}
		cmd.Wait() //nolint:errcheck // it was killed
		j, err := Open(dir, Options{})
		ok(t, err)
		var n int
		if found, err := j.Kept("storm", &n); !found || err != nil || n < said {
			t.Errorf("kept %d (%v, %v), and the journal had said %d", n, found, err, said)
		}
		ok(t, j.Close())
	}
}
