package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// put writes a file and returns its name.
func put(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// An authority signs certificates, for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.pem, _ = issue(t, nil, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue makes a certificate and its key, signed by a, or by itself.
func issue(t testing.TB, a *authority, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	parent, signer := c, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return made, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// guarded is a server that answers as Elasticsearch to who shows the header, and
// quotes it to others, as none should.
func guarded(authorization *atomic.Value) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != authorization.Load() {
			_, secret, _ := strings.Cut(got, " ")
			plain, _ := base64.StdEncoding.DecodeString(secret)
			_, password, _ := strings.Cut(string(plain), ":")
			reply(w, http.StatusUnauthorized, []byte(`{"error":{"type":"security_exception","reason":"not `+secret+` nor `+password+`"}}`))
			return
		}
		reply(w, http.StatusOK, []byte(`{"cluster_name":"guarded","version":{"number":"8.19.21"}}`))
	}
}

func TestSecretsAreReadAnewAndNeverShown(t *testing.T) {
	for name, c := range map[string]struct {
		config     func(file string) Config
		old, new   string // what the file holds
		was, wants string // headers
	}{
		"API key": {
			func(f string) Config { return Config{APIKeyFile: f} },
			"b2xkOnNlY3JldA==", "bmV3OnNlY3JldA==\n", "ApiKey b2xkOnNlY3JldA==", "ApiKey bmV3OnNlY3JldA==",
		},
		"password": {
			func(f string) Config { return Config{Username: "flyball", PasswordFile: f} },
			"hunter2", "swordfish\r\n", basic("flyball", "hunter2"), basic("flyball", "swordfish"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var wanted atomic.Value
			wanted.Store(c.was)
			s := httptest.NewServer(guarded(&wanted))
			defer s.Close()
			dir := t.TempDir()
			file := put(t, dir, "secret", c.old)
			config := c.config(file)
			config.URLs = []string{s.URL}
			if fs := config.Validate(); len(fs) > 0 {
				t.Fatal(fs)
			}
			var log bytes.Buffer
			k, err := New(config, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			if _, err := k.Info(t.Context()); err != nil {
				t.Fatal(err)
			}
			wanted.Store(c.wants)
			_, err = k.Info(t.Context())
			var status *StatusError
			if !errors.As(err, &status) || status.Status != http.StatusUnauthorized || !strings.Contains(err.Error(), "check api_key_file") {
				t.Errorf("the old secret gives %v", err)
			}
			said := err.Error() + k.Status().Error + log.String()
			for _, secret := range []string{"b2xkOnNlY3JldA", "hunter2", strings.TrimPrefix(c.was, "Basic ")} {
				if strings.Contains(said, secret) {
					t.Errorf("%s is in %s", secret, said)
				}
			}
			if !strings.Contains(said, "(hidden)") || k.Status().Reachable {
				t.Errorf("said is %s", said)
			}
			put(t, dir, "secret", c.new)
			if _, err := k.Info(t.Context()); err != nil || !k.Status().Reachable {
				t.Errorf("the new secret gives %v", err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Info(t.Context()); err == nil || !strings.Contains(err.Error(), file+" cannot be read") {
				t.Errorf("without the file the error is %v", err)
			}
		})
	}
}

// secure is a server that wants a certificate of clients', signed by a.
func secure(t *testing.T, a *authority, h http.Handler) *httptest.Server {
	t.Helper()
	_, _, cert, key := issue(t, a, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestCertificatesAreCheckedAndReadAnew(t *testing.T) {
	var wanted atomic.Value
	wanted.Store("")
	a := newAuthority(t)
	s := secure(t, a, guarded(&wanted))
	dir := t.TempDir()
	_, _, cert, key := issue(t, a, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	config := Config{
		URLs: []string{s.URL}, CAFile: put(t, dir, "ca.pem", newAuthority(t).pem), // not the one
		CertFile: put(t, dir, "cert.pem", cert), KeyFile: put(t, dir, "key.pem", key),
	}
	if fs := config.Validate(); len(fs) > 0 {
		t.Fatal(fs)
	}
	c, err := New(config, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var unknown x509.UnknownAuthorityError
	if _, err := c.Info(t.Context()); !errors.As(err, &unknown) {
		t.Errorf("another authority gives %v", err)
	}
	put(t, dir, "ca.pem", a.pem)
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("the authority gives %v", err)
	}
	c.Close()
	s.CloseClientConnections()
	_, _, other, otherKey := issue(t, newAuthority(t), &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	put(t, dir, "cert.pem", other)
	put(t, dir, "key.pem", otherKey)
	if _, err := c.Info(t.Context()); err == nil {
		t.Error("a certificate of another authority's is taken")
	}
	put(t, dir, "key.pem", key)
	if _, err := c.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "are no pair") {
		t.Errorf("a key that does not fit gives %v", err)
	}
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	defer s.Close()
	c := reach(t, time.Minute, s.URL)
	if _, err := c.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("the error is %v", err)
	}
}

func TestAnotherProductIsRefused(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"items":[{"create":{"status":201}}]}`))
	}))
	defer s.Close()
	c := reach(t, time.Minute, s.URL)
	if _, err := c.Info(t.Context()); !errors.Is(err, errStranger) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	refused, err := c.Deliver(ctx, Samples, make9("logs-a-b", 1))
	if err == nil || len(refused) > 0 || c.Status().Created > 0 {
		t.Errorf("it takes documents: %v, %v", refused, err)
	}
}

func TestAddressesAreTriedInTurn(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		reply(w, http.StatusOK, []byte(`{"cluster_name":"a","version":{"number":"8.19.21"}}`))
	}))
	defer s.Close()
	c := reach(t, time.Minute, "http://127.0.0.1:1", s.URL+"/", "http://127.0.0.1:2")
	for range 10 {
		if _, err := c.Do(t.Context(), http.MethodGet, "/", nil); err != nil {
			t.Error(err)
		}
	}
	if asked.Load() != 10 {
		t.Errorf("%d requests arrived", asked.Load())
	}
}

func TestAnAddressMayHaveAPath(t *testing.T) {
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.RequestURI()+" "+r.UserAgent())
		reply(w, http.StatusOK, []byte(`{}`))
	}))
	defer s.Close()
	c := reach(t, time.Minute, "http://127.0.0.1:1", s.URL+"/es/")
	if _, err := c.Do(t.Context(), http.MethodGet, "/_cat/health?format=json", nil); err != nil || paths[0] != "/es/_cat/health?format=json flyball/test" {
		t.Errorf("asked was %v, %v", paths, err)
	}
}

func TestNobodyIsBlamedForWhoDoesNotWait(t *testing.T) {
	waiting := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		waiting <- struct{}{}
		<-r.Context().Done()
	}))
	defer s.Close()
	c := reach(t, time.Minute, s.URL)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-waiting
		cancel()
	}()
	if _, err := c.Do(ctx, http.MethodGet, "/", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if s := c.Status(); s.Error != "" || !s.Since.IsZero() {
		t.Errorf("the status is %+v", s)
	}
}

func TestConfigurationIsValidated(t *testing.T) {
	dir := t.TempDir()
	key, empty, pair := put(t, dir, "key", "YTpi"), put(t, dir, "empty", ""), put(t, dir, "pair", "id:key")
	a := newAuthority(t)
	_, _, cert, certKey := issue(t, a, &x509.Certificate{})
	ca, crt, crtKey := put(t, dir, "ca.pem", a.pem), put(t, dir, "cert.pem", cert), put(t, dir, "key.pem", certKey)
	good := []string{"https://es:9200"}
	for name, c := range map[string]struct {
		config Config
		want   string // path and beginning of the text; "" if it is good
	}{
		"plain":                  {Config{URLs: []string{"http://es:9200", "http://es2:9200/prefix"}}, ""},
		"API key":                {Config{URLs: good, APIKeyFile: key, CAFile: ca, CertFile: crt, KeyFile: crtKey, Timeout: model.Duration(time.Minute)}, ""},
		"user":                   {Config{URLs: good, Username: "a", PasswordFile: key}, ""},
		"no address":             {Config{}, ".urls is missing"},
		"no scheme":              {Config{URLs: []string{"https://a", "es:9200"}}, ".urls[1] begins neither"},
		"no host":                {Config{URLs: []string{"https://"}}, ".urls[0] names no host"},
		"no URL":                 {Config{URLs: []string{"http://[::1"}}, ".urls[0] is no address"},
		"a password in the URL":  {Config{URLs: []string{"https://elastic:hunter2@es:9200"}}, ".urls[0] holds a user or a password"},
		"a query in the URL":     {Config{URLs: []string{"https://es:9200?x=1"}}, ".urls[0] holds more"},
		"twice":                  {Config{URLs: []string{"https://es:9200", "https://es:9200"}}, ".urls[1] stands there twice"},
		"key and user":           {Config{URLs: good, APIKeyFile: key, Username: "a"}, ".api_key_file stands beside"},
		"no password":            {Config{URLs: good, Username: "a"}, ".password_file is missing"},
		"no user":                {Config{URLs: good, PasswordFile: key}, ".username is missing"},
		"user with its password": {Config{URLs: good, Username: "a:b", PasswordFile: key}, ".username holds a colon"},
		"no file":                {Config{URLs: good, APIKeyFile: dir + "/none"}, ".api_key_file " + dir + "/none cannot be read"},
		"empty file":             {Config{URLs: good, Username: "a", PasswordFile: empty}, ".password_file " + empty + " is empty"},
		"key that is not coded":  {Config{URLs: good, APIKeyFile: pair}, ".api_key_file " + pair + " holds an id and a key"},
		"several lines":          {Config{URLs: good, APIKeyFile: ca}, ".api_key_file " + ca + " holds more than one line"},
		"no authority":           {Config{URLs: good, CAFile: key}, ".ca_file " + key + " holds no certificate"},
		"no key of ours":         {Config{URLs: good, CertFile: crt}, ".key_file is missing"},
		"no certificate of ours": {Config{URLs: good, KeyFile: crtKey}, ".cert_file is missing"},
		"no pair":                {Config{URLs: good, CertFile: ca, KeyFile: crtKey}, ".cert_file " + ca + " and " + crtKey + " are no pair"},
		"nothing to secure":      {Config{URLs: []string{"http://es"}, CAFile: ca}, ".urls begin with http://"},
		"no time":                {Config{URLs: good, Timeout: model.Duration(time.Millisecond)}, ".timeout 1ms is not between"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := c.config.Validate()
			if len(fs) > 1 || (len(fs) == 0) != (c.want == "") {
				t.Fatalf("the faults are %+v", fs)
			}
			for _, f := range fs {
				if !strings.HasPrefix(f.Path+" "+f.Text, c.want) || f.Hint == "" || strings.Contains(f.Text+f.Hint, "hunter2") {
					t.Errorf("the fault is %+v", f)
				}
			}
		})
	}
	shown := Config{URLs: []string{"https://elastic:hunter2@es:9200/x?y", ":"}}.shown()
	if shown[0] != "https://es:9200/x" || shown[1] != "(no address)" {
		t.Errorf("shown are %v", shown)
	}
	relative := Config{APIKeyFile: "secrets/key", CAFile: "/etc/ca.pem"}
	relative.Resolve("/etc/flyball")
	if relative.APIKeyFile != "/etc/flyball/secrets/key" || relative.CAFile != "/etc/ca.pem" || relative.KeyFile != "" {
		t.Errorf("the files are %+v", relative)
	}
}

func FuzzURL(f *testing.F) {
	f.Add("https://es:9200")
	f.Add("https://elastic:hunter2@es:9200/x?y#z")
	f.Fuzz(func(t *testing.T, address string) {
		c := Config{URLs: []string{address}}
		if text, _ := urlFault(address); text != "" {
			return
		}
		if _, err := New(c, Options{}); err != nil {
			t.Errorf("%q is valid, and makes no client: %v", address, err)
		}
		if strings.Contains(c.shown()[0], "@") && !strings.Contains(address, "/") {
			t.Errorf("%q is shown as %q", address, c.shown()[0])
		}
	})
}
