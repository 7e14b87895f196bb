package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"flyball/collector/exporter"
)

func TestEachSQLStateHasItsReason(t *testing.T) {
	for code, want := range map[string]string{
		"28P01": exporter.Denied, "28000": exporter.Denied, "42501": exporter.Permission, "3D000": exporter.Missing,
		"42P01": exporter.Missing, "42883": exporter.Missing, "42703": exporter.Missing, "55000": exporter.Missing,
		"57014": exporter.Timeout, "55P03": exporter.Timeout, "57P01": exporter.Refused, "57P03": exporter.Refused,
		"53300": exporter.Exhausted, "53100": exporter.Exhausted, "53200": exporter.Exhausted, "08P01": exporter.Protocol,
		"XX000": exporter.Broken, "": exporter.Broken,
	} {
		if got := sqlReason(code); got != want {
			t.Errorf("%q is %s, want %s", code, got, want)
		}
	}
}

func TestWhatTheDriverSaysIsNotRepeated(t *testing.T) {
	target := &target{facts: facts{user: `odd"role`}}
	inner := errors.New("an inner cause")
	for name, c := range map[string]struct {
		err          error
		reason, want string
	}{
		"a wrapped cause":       {fmt.Errorf("failed with secret: %w", inner), exporter.Broken, "an inner cause"},
		"several":               {fmt.Errorf("secret: %w", errors.Join(errors.New("secret"), inner)), exporter.Broken, "an inner cause"},
		"a connection string":   {pgconn.NewParseConfigError("host=secret", "secret", inner), exporter.Broken, "an inner cause"},
		"a deadline":            {fmt.Errorf("secret: %w", context.DeadlineExceeded), exporter.Timeout, "no answer in time"},
		"what is not permitted": {fmt.Errorf("secret: %w", &pgconn.PgError{Code: "42501", Message: "no"}), exporter.Permission, `no (42501): GRANT pg_monitor TO "odd""role"`},
		"a server without TLS":  {errors.New(refusedTLS), exporter.TLS, "the server does not speak TLS: see sslmode"},
	} {
		got := target.plain(c.err)
		if exporter.Reason(got) != c.reason || got.Error() != c.want || strings.Contains(fmt.Sprintf("%+v", got), "secret") {
			t.Errorf("%s: %s: %v, want %s: %s", name, exporter.Reason(got), got, c.reason, c.want)
		}
	}
	if err := target.plain(nil); err != nil {
		t.Error(err)
	}
}
