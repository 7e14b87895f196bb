package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flyball/deploy/testservers"
)

// postgresFlags are those of an empty database of a user with a password.
func postgresFlags(t *testing.T) []string {
	t.Helper()
	p := testservers.SharedPostgres(t)
	database := p.Database(t)
	p.SQL(t, database, "CREATE ROLE catalogue LOGIN PASSWORD 'open:Sesame'; ALTER DATABASE "+database+" OWNER TO catalogue")
	t.Cleanup(func() {
		p.SQL(t, database, "DROP OWNED BY catalogue CASCADE; ALTER DATABASE "+database+" OWNER TO postgres; DROP ROLE catalogue")
	})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("open:Sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--store", "postgres", "--postgres-dsn", p.DSN("catalogue", "", database), "--postgres-password-file", file}
}

func TestTheServiceKeepsItsProductsInPostgres(t *testing.T) {
	flags := postgresFlags(t)
	var stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"serve"}, flags...), &stderr, &stderr); code != exitFailed || !strings.Contains(stderr.String(), `make them with "app migrate --store postgres"`) {
		t.Errorf("without a schema: exit code %d: %s", code, &stderr)
	}
	for range 2 {
		if code := run(t.Context(), append([]string{"migrate"}, flags...), &stderr, &stderr); code != exitOK {
			t.Fatalf("migrate: exit code %d: %s", code, &stderr)
		}
	}
	in := start(t, append(flags, "--drain-delay", "0s")...)
	res, err := http.Post(in.url+"/api/products", "application/json", strings.NewReader(`{"type":"book","name":"Governors"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated || status(in.url+"/readyz") != http.StatusOK {
		t.Errorf("create: %s; readyz: %d", res.Status, status(in.url+"/readyz"))
	}
	if text := get(in.url + "/metrics"); !strings.Contains(text, `store_connections_max 16`) {
		t.Errorf("no connections in /metrics:\n%s", text)
	}
	in.signal(t, syscall.SIGTERM)
	if code := in.end(t); code != exitOK || strings.Contains(in.text.String()+stderr.String(), "Sesame") {
		t.Errorf("exit code %d:\n%s", code, in.text)
	}
}

func TestWrongUseOfPostgresIsExplained(t *testing.T) {
	for _, tt := range []struct {
		args string
		says string
	}{
		{"serve --store postgres", "where the database is"},
		{"serve --postgres-dsn postgres://app@db/app", "--store postgres"},
		{"migrate --store postgres --postgres-dsn postgres://app:s3cret@db/app", "into a file"},
		{"serve --store postgres --postgres-dsn postgres://db/app?user=app&pass%77ord=s3cret", "into a file"},
		{"serve --store postgres --postgres-dsn s3cret", "no connection string"},
		{"serve --store postgres --postgres-dsn-file /nowhere/dsn", "/nowhere/dsn"},
		{"serve --store postgres --postgres-dsn postgres://app@db/app?pool_max_conns=3", "pool_max_conns"},
		{"serve --store postgres --postgres-dsn postgres://app@db/app --postgres-statement-timeout 1h", "statement timeout"},
	} {
		var stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(tt.args), &stderr, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), tt.says) || strings.Contains(stderr.String(), "s3cret") {
			t.Errorf("%s: exit code %d, want %q: %s", tt.args, code, tt.says, &stderr)
		}
	}
}
