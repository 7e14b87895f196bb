package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flyball/collector/exporter"
	"flyball/collector/postgres"
	"flyball/deploy/testservers"
)

// tellsNothing checks that no part of the password is in a text.
func tellsNothing(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{password, "open-Sesame", "4711", "Sesame%3A", "not-the-one"} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is told:\n%s", text)
		}
	}
}

func TestWhyItCannotConnectIsToldInOneWordAndWithoutSecrets(t *testing.T) {
	t.Parallel()
	p := primary(t)
	p.SQL(t, "postgres", "CREATE ROLE idle NOLOGIN PASSWORD '"+password+"'; CREATE ROLE busy LOGIN CONNECTION LIMIT 0 PASSWORD '"+password+"'; CREATE DATABASE shut; REVOKE CONNECT ON DATABASE shut FROM public")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // it takes connections and says nothing
	at := func(addr string) string {
		return strings.Replace(p.DSN("watch", password, "postgres"), p.Addr(), addr, 1)
	}
	for name, c := range map[string]struct{ dsn, reason, says string }{
		"wrong password":     {p.DSN("watch", "not-the-one", "postgres"), exporter.Denied, `password authentication failed for user "watch" (28P01)`},
		"no password":        {p.DSN("watch", "", "postgres"), exporter.Denied, ""},
		"unknown role":       {p.DSN("nobody", password, "postgres"), exporter.Denied, `"nobody"`},
		"role that may not":  {p.DSN("idle", password, "postgres"), exporter.Denied, "LOGIN"},
		"unknown database":   {p.DSN("watch", password, "nothing"), exporter.Missing, `database "nothing" does not exist (3D000)`},
		"database is shut":   {p.DSN("watch", password, "shut"), exporter.Permission, "(42501)"},
		"too many already":   {p.DSN("busy", password, "postgres"), exporter.Exhausted, "raise max_connections or the role's CONNECTION LIMIT"},
		"nobody listens":     {at("127.0.0.1:1"), exporter.Refused, "connection refused"},
		"somebody is silent": {at(listener.Addr().String()), exporter.Timeout, "no answer in time"},
		"no such host":       {at("nowhere.invalid:5432"), exporter.Unresolved, "nowhere.invalid"},
		"no such socket":     {"host=/nonexistent user=watch password=" + password, exporter.Refused, "no such file"},
		"no TLS there":       {strings.Replace(p.DSN("watch", password, "postgres"), "disable", "require", 1), exporter.TLS, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dsn")
			if err := os.WriteFile(file, []byte(c.dsn+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w := watch(t, postgres.Config{Name: "db", DSNFile: file, Timeout: time.Second})
			s := w.scrape()
			s.is("pg_up", 0)
			s.is("pg_down{reason="+c.reason+"}", 1)
			down := w.Status().Down
			if down == nil || !strings.Contains(down.Error(), c.says) {
				t.Errorf("it says %v, which has no %q", down, c.says)
			}
			tellsNothing(t, w.log.String()+down.Error())
		})
	}
}

// certificate makes a certificate for localhost that PostgreSQL takes, and returns
// the names of its files.
func certificate(t *testing.T, p *testservers.Postgres) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data := p.SQL(t, "postgres", "SHOW data_directory")
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	put := func(name, kind string, bytes []byte) string {
		file := filepath.Join(data, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return put("test.crt", "CERTIFICATE", der), put("test.key", "PRIVATE KEY", raw)
}

func TestModesOfTLS(t *testing.T) {
	t.Parallel()
	p := primary(t)
	cert, key := certificate(t, p)
	settings(t, p, "ssl_cert_file = '"+cert+"'", "ssl_key_file = '"+key+"'", "ssl = on")
	until(t, "TLS is on", func() bool { return p.SQL(t, "postgres", "SHOW ssl") == "on" })
	root := filepath.Join(t.TempDir(), "root.crt")
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, c := range map[string]struct {
		host, reason string
		encrypted    string
	}{
		"disable":                         {"127.0.0.1", "", "f"},
		"prefer":                          {"127.0.0.1", "", "t"},
		"require":                         {"127.0.0.1", "", "t"},
		"verify-ca&sslrootcert=" + root:   {"127.0.0.1", "", "t"},
		"verify-full&sslrootcert=" + root: {"127.0.0.1", exporter.TLS, ""},
		"verify-full":                     {"127.0.0.1", exporter.TLS, ""},
	} {
		t.Run(strings.ReplaceAll(mode, root, "it"), func(t *testing.T) {
			conf := config(p, "postgres")
			conf.DSN = strings.Replace(conf.DSN, "sslmode=disable", "sslmode="+mode, 1)
			w := watch(t, conf)
			s := w.scrape()
			if c.reason != "" {
				s.is("pg_down{reason="+c.reason+"}", 1)
				tellsNothing(t, w.log.String())
				return
			}
			s.is("pg_up", 1)
			if got := p.SQL(t, "postgres", "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'flyball'"); got != c.encrypted {
				t.Errorf("encrypted: %q, want %q", got, c.encrypted)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			until(t, "it is closed", func() bool { return ours(t, p) == "" })
		})
	}
}
