package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"flyball/collector/exporter"
)

// Config is one server to watch.
type Config struct {
	Name string `yaml:"name" required:"true" doc:"what the server is called: its label instance"`
	// DSN is a connection string as libpq has it, a URL or key=value pairs,
	// without a password.
	DSN string `yaml:"dsn" doc:"connection string without a password, e.g. postgres://flyball@db1:5432/postgres?sslmode=verify-full"`
	// DSNFile holds the connection string, which may have a password.
	DSNFile string `yaml:"dsn_file" doc:"file with the connection string, in place of dsn, read anew at each connect"`
	// PasswordFile holds the password; ends of lines at its end do not count.
	PasswordFile string        `yaml:"password_file" doc:"file with the password, read anew at each connect"`
	Timeout      time.Duration `yaml:"timeout" default:"5s" doc:"how long a scrape of it may take"`
	// Databases are those whose own metrics are told; none: all.
	Databases []string `yaml:"databases" doc:"names of the databases to tell of, by default all"`
	// Tables are of the database that the connection string names.
	Tables     int `yaml:"tables" default:"100" doc:"of how many tables to tell, the largest, in the database of the connection string; 0: of none"`
	Statements int `yaml:"statements" default:"50" doc:"of how many statements to tell, those that took longest, if pg_stat_statements is there; 0: of none"`
}

const (
	mostTables     = 10000
	mostStatements = 5000
)

// ownPassword finds a password among key=value pairs.
var ownPassword = regexp.MustCompile(`(?i)(^|\s)(ssl)?password\s*=`)

var (
	errNoDSN   = errors.New("is no connection string of PostgreSQL") // no more: what cannot be parsed may be a password
	errNoFile  = errors.New("cannot be read")
	errSeveral = errors.New("names several hosts")
)

// dsnHint is what a connection string looks like.
const dsnHint = "write postgres://user@host:5432/database or host=... user=... dbname=..., with % in front of special characters' codes in a URL"

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	for _, f := range []*string{&c.DSNFile, &c.PasswordFile} {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, *f)
		}
	}
}

// Validate names the mistakes of c.
func (c Config) Validate() []exporter.Mistake {
	var ms []exporter.Mistake
	add := func(bad bool, field, text, hint string) {
		if bad {
			ms = append(ms, exporter.Mistake{Field: field, Text: text, Hint: hint})
		}
	}
	ms = append(ms, c.connectMistakes()...)
	add(c.Timeout != 0 && (c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute), ".timeout",
		c.Timeout.String()+" is not between 100ms and 1m", "write e.g. 5s")
	add(c.Tables < 0 || c.Tables > mostTables, ".tables", fmt.Sprintf("%d is not between 0 and %d", c.Tables, mostTables), "write e.g. 100; each has some 20 series")
	add(c.Statements < 0 || c.Statements > mostStatements, ".statements", fmt.Sprintf("%d is not between 0 and %d", c.Statements, mostStatements), "write e.g. 50; each has 5 series")
	for i, d := range c.Databases {
		add(d == "", ".databases["+strconv.Itoa(i)+"]", "is empty", "write the name of a database, or leave databases out")
	}
	return ms
}

// connectMistakes are those of how to connect.
func (c Config) connectMistakes() []exporter.Mistake {
	field := ".dsn"
	switch {
	case c.DSN == "" && c.DSNFile == "":
		return []exporter.Mistake{{Field: ".dsn", Text: "is missing", Hint: dsnHint}}
	case c.DSN != "" && c.DSNFile != "":
		return []exporter.Mistake{{Field: ".dsn_file", Text: "stands beside dsn", Hint: "write one of the two"}}
	case hasPassword(c.DSN):
		return []exporter.Mistake{{Field: ".dsn", Text: "holds a password", Hint: "write it into a file and name that in password_file"}}
	case c.DSNFile != "":
		field = ".dsn_file"
	}
	_, err := c.connection()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSeveral):
		return []exporter.Mistake{{Field: field, Text: errSeveral.Error(), Hint: "one target is one server: write an entry for each"}}
	case errors.Is(err, errNoDSN):
		return []exporter.Mistake{{Field: field, Text: errNoDSN.Error(), Hint: dsnHint}}
	}
	if field == ".dsn" { // then it is the other file
		field = ".password_file"
	}
	return []exporter.Mistake{{Field: field, Text: err.Error(), Hint: "see that the file is there and that Flyball may read it"}}
}

func (c Config) withDefaults() Config {
	if c.Timeout <= 0 {
		c.Timeout = exporter.DefaultTimeout
	}
	return c
}

// connection is how to connect now. Its errors tell nothing that may be secret.
func (c Config) connection() (*pgx.ConnConfig, error) {
	dsn := c.DSN
	if c.DSNFile != "" {
		var err error
		if dsn, err = secret(c.DSNFile); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ParseConfig(dsn)
	if err != nil || dsn == "" {
		return nil, fmt.Errorf("the DSN %w", errNoDSN)
	}
	for _, f := range conn.Fallbacks {
		if f.Host != conn.Host || f.Port != conn.Port {
			return nil, fmt.Errorf("the DSN %w", errSeveral)
		}
	}
	if c.PasswordFile != "" {
		if conn.Password, err = secret(c.PasswordFile); err != nil {
			return nil, err
		}
	}
	conn.ValidateConnect = nil // a standby is as welcome as a primary
	return conn, nil
}

// secret reads a file, without the ends of lines at its end.
func secret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return "", exporter.Because(exporter.Denied, fmt.Errorf("%s %w: %w", file, errNoFile, err))
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// hasPassword says whether a connection string holds a password.
func hasPassword(dsn string) bool {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return ownPassword.MatchString(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return false // it is no connection string at all, which is told without it
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// address is where a server is.
func address(c *pgx.ConnConfig) string {
	if strings.HasPrefix(c.Host, "/") {
		return c.Host
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
}
