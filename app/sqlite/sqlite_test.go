package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flyball/app/product"
	"flyball/app/product/storetest"
	"flyball/app/sqlite"
)

// child tells the test binary to be a writer instead: "count" or "create", and
// the file.
const child = "SQLITE_TEST_CHILD"

const (
	processes = 4
	times     = 40
)

func TestMain(m *testing.M) {
	what, path, isChild := strings.Cut(os.Getenv(child), " ")
	if !isChild {
		os.Exit(m.Run())
	}
	if err := write(context.Background(), what, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write is what a child does.
func write(ctx context.Context, what, path string) error {
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	if what == "count" {
		if err := storetest.Count(ctx, s, "counter", times); err != nil {
			return err
		}
		return s.Close()
	}
	for i := 0; ; i++ { // until killed; says what is durable
		p := product.Product{ID: fmt.Sprintf("%d-%d", os.Getpid(), i), Type: "t", Name: "n"}
		if _, err := s.Create(ctx, p); err != nil {
			return err
		}
		fmt.Println(p.ID)
	}
}

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) product.Store {
		return open(t, filepath.Join(t.TempDir(), "a file?with #odd name%20.db"))
	})
}

func command(t *testing.T, what, path string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+what+" "+path)
	return cmd
}

func TestSeveralProcessesLoseNoUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	s := open(t, path)
	_, err := s.Create(t.Context(), product.Product{ID: "counter", Type: "t", Name: "n", Parameters: product.Parameters{"n": json.Number("0")}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			if out, err := command(t, "count", path).CombinedOutput(); err != nil {
				t.Errorf("a writer failed: %v: %s", err, out)
			}
		})
	}
	wg.Wait()
	got, err := s.Get(t.Context(), "counter")
	if err != nil || got.Parameters["n"] != json.Number(fmt.Sprint(processes*times)) {
		t.Errorf("counted %v, %v; want %d", got.Parameters["n"], err, processes*times)
	}
}

func TestSeveralProcessesMakeOneDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestKilledWritersLeaveAWholeDatabaseWithEveryWriteInIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	var said []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			ids := killed(t, command(t, "create", path))
			mu.Lock()
			defer mu.Unlock()
			said = append(said, ids...)
		})
	}
	wg.Wait()
	s := open(t, path)
	for _, id := range said {
		if _, err := s.Get(t.Context(), id); err != nil {
			t.Errorf("a durable product is lost: %v", err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
}

// killed runs a writer, kills it hard in the middle and gives what it said it had written.
func killed(t *testing.T, cmd *exec.Cmd) (ids []string) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return nil
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		ids = append(ids, lines.Text())
		if len(ids) == 50 {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(ids) < 50 {
		t.Errorf("the writer ended by itself after %d writes: %v", len(ids), err)
	}
	return ids
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, err = sqlite.Open(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "use a newer app") {
		t.Errorf("got %v, want a hint at a newer app", err)
	}
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "no", "app.db"))
	if err == nil || !strings.Contains(err.Error(), "app.db") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
