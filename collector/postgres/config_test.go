package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flyball/collector/postgres"
)

func TestMistakesOfAConfigurationAreNamed(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := "postgres://watch@db1:5432/postgres"
	for name, c := range map[string]struct {
		config postgres.Config
		want   string // field and text of the only mistake; empty: there is none
	}{
		"as it should be":           {config: postgres.Config{DSN: good, Timeout: time.Second, Tables: 100, Statements: 50, Databases: []string{"shop"}}},
		"pairs":                     {config: postgres.Config{DSN: "host=db1 user=watch dbname=postgres"}},
		"a socket":                  {config: postgres.Config{DSN: "host=/run/postgresql user=watch"}},
		"everything in a file":      {config: postgres.Config{DSNFile: file("dsn", "postgres://watch:"+"pw@db1/postgres\n")}},
		"a password in a file":      {config: postgres.Config{DSN: good, PasswordFile: file("pw", "x\n")}},
		"no dsn":                    {postgres.Config{}, ".dsn is missing"},
		"two":                       {postgres.Config{DSN: good, DSNFile: "/etc/dsn"}, ".dsn_file stands beside dsn"},
		"not a dsn":                 {postgres.Config{DSN: "postgres://watch@db1:http/x"}, ".dsn is no connection string of PostgreSQL"},
		"no pairs":                  {postgres.Config{DSN: "db1"}, ".dsn is no connection string of PostgreSQL"},
		"a password in a URL":       {postgres.Config{DSN: "postgres://watch:pw@db1/x"}, ".dsn holds a password"},
		"a password as a parameter": {postgres.Config{DSN: "postgres://watch@db1/x?password=pw"}, ".dsn holds a password"},
		"a password among pairs":    {postgres.Config{DSN: "host=db1 password = pw"}, ".dsn holds a password"},
		"several hosts":             {postgres.Config{DSN: "postgres://watch@db1,db2/x"}, ".dsn names several hosts"},
		"several ports":             {postgres.Config{DSN: "host=db1,db1 port=5432,5433"}, ".dsn names several hosts"},
		"several hosts in a file":   {postgres.Config{DSNFile: file("many", "postgres://watch@db1,db2/x")}, ".dsn_file names several hosts"},
		"an empty file":             {postgres.Config{DSNFile: file("empty", "\n")}, ".dsn_file is no connection string of PostgreSQL"},
		"no such dsn file":          {postgres.Config{DSNFile: filepath.Join(dir, "none")}, ".dsn_file " + filepath.Join(dir, "none") + " cannot be read: no such file or directory"},
		"no such password file":     {postgres.Config{DSN: good, PasswordFile: filepath.Join(dir, "none")}, ".password_file " + filepath.Join(dir, "none") + " cannot be read: no such file or directory"},
		"too short":                 {postgres.Config{DSN: good, Timeout: time.Millisecond}, ".timeout 1ms is not between 100ms and 1m"},
		"tables":                    {postgres.Config{DSN: good, Tables: -1}, ".tables -1 is not between 0 and 10000"},
		"statements":                {postgres.Config{DSN: good, Statements: 5001}, ".statements 5001 is not between 0 and 5000"},
		"a database without a name": {postgres.Config{DSN: good, Databases: []string{"a", ""}}, ".databases[1] is empty"},
	} {
		var got []string
		for _, m := range c.config.Validate() {
			got = append(got, m.Field+" "+m.Text)
			if m.Hint == "" {
				t.Errorf("%s: %s says not what would be right", name, m.Text)
			}
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestFilesAreBelowTheConfiguration(t *testing.T) {
	c := postgres.Config{DSNFile: "secrets/dsn", PasswordFile: "/etc/pw"}
	c.Resolve("/etc/flyball")
	if c.DSNFile != "/etc/flyball/secrets/dsn" || c.PasswordFile != "/etc/pw" {
		t.Errorf("the files are %s and %s", c.DSNFile, c.PasswordFile)
	}
}

// Whatever is written, what is said of it quotes nothing.
func FuzzAConnectionStringThatIsRefusedIsNotQuoted(f *testing.F) {
	for _, dsn := range []string{
		"postgres://u:hunter2hunter2@h:port/d", "postgres://u:hunter2 hunter2@h/d", "host=h password='hunter2 hunter2 user=u", "password=hunter2hunter2",
		"postgres://u:hunter2/hunter2@h/d", "host=h hunter2", "postgres://h,h2/d?password=hunter2hunter2", "postgres://u@h/d?sslmode=hunter2",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		known := map[string]bool{}
		for _, c := range []postgres.Config{{}, {DSN: "nothing"}, {DSN: "password=x"}, {DSN: "postgres://a,b/c"}} {
			for _, m := range c.Validate() {
				known[fmt.Sprint(m)] = true
			}
		}
		for _, m := range (postgres.Config{DSN: dsn}).Validate() {
			if !known[fmt.Sprint(m)] {
				t.Errorf("%q is told of as %+v", dsn, m)
			}
		}
	})
}
