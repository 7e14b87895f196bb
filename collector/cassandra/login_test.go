package cassandra

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"flyball/collector/exporter"
)

// guarded starts a node that asks for a user, and is its superuser's session.
func guarded(t *testing.T) (*servers, *gocql.Session) {
	c := start(t, 1, true)
	return c, client(t, c, func(g *gocql.ClusterConfig) {
		g.Authenticator = gocql.PasswordAuthenticator{Username: "cassandra", Password: "cassandra"}
	})
}

func secret(t *testing.T, text string) string {
	name := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWhoMayNotLogInIsDeniedAndWhoMayNotReadIsToldWhatLacks(t *testing.T) {
	c, s := guarded(t)
	execute(t, s, "CREATE ROLE IF NOT EXISTS watcher WITH PASSWORD = 'right-password' AND LOGIN = true")
	config := of(c)
	down := func(config Config) string {
		t.Helper()
		r, log := watchLogged(t, config)
		got := gather(t, r)
		got.want(t, 0, "cassandra_up")
		got.want(t, 1, "cassandra_down", "reason=denied")
		text := log.String() + r.Status()[c.Hosts()[0]].Down.Error()
		if strings.Contains(text, "password-that") || strings.Contains(text, "right-password") {
			t.Errorf("a password is told: %s", text)
		}
		return text
	}
	if text := down(config); !strings.Contains(text, "write username and password_file") {
		t.Errorf("without a user: %s", text)
	}
	config.Username, config.PasswordFile = "watcher", filepath.Join(t.TempDir(), "none")
	if text := down(config); !strings.Contains(text, "read its password") {
		t.Errorf("without the file: %s", text)
	}
	config.PasswordFile = secret(t, "password-that-is-wrong")
	down(config)

	r := watch(t, config)
	gather(t, r).want(t, 0, "cassandra_up")
	if err := os.WriteFile(config.PasswordFile, []byte("right-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := gather(t, r)
	got.want(t, 1, "cassandra_up")
	for _, p := range Parts() {
		told := p.Name == "node" || p.Name == "ring"
		got.want(t, truth(told), "cassandra_part_up", "part="+p.Name)
		if !told {
			got.want(t, 1, "cassandra_part_down", "part="+p.Name, "reason=permission")
		}
	}
	got.want(t, 1, "cassandra_ring_nodes")

	execute(t, s, "GRANT SELECT ON KEYSPACE system_views TO watcher")
	eventually(t, "all parts can be read", func() error {
		for _, err := range func() map[string]error { gather(t, r); return r.Status()[c.Hosts()[0]].Parts }() {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// A node behind TLS stands behind a proxy of ours: what speaks CQL is real.
func TestTheCertificateOfANodeIsVerified(t *testing.T) {
	c := shared(t)
	good, other := newAuthority(t, "good"), newAuthority(t, "other")
	port := secured(t, net.JoinHostPort(c.Hosts()[0], itoa(c.Port())), good)
	config := Config{Hosts: []string{"127.0.0.1"}, Port: port, Tables: 1, Timeout: 10 * time.Second, TLS: &TLS{
		CAFile: good.file, CertFile: good.cert, KeyFile: good.key,
	}}
	gather(t, watch(t, config)).want(t, 1, "cassandra_up")

	named := config
	named.TLS = &TLS{CAFile: good.file, CertFile: good.cert, KeyFile: good.key, ServerName: "elsewhere.example"}
	gather(t, watch(t, named)).want(t, 1, "cassandra_down", "reason=tls")

	unknown := config
	unknown.TLS = &TLS{CAFile: other.file, CertFile: good.cert, KeyFile: good.key}
	gather(t, watch(t, unknown)).want(t, 1, "cassandra_down", "reason=tls")

	bare := config
	bare.TLS = &TLS{CAFile: good.file}
	gather(t, watch(t, bare)).want(t, 0, "cassandra_up")

	gone := config
	gone.TLS = &TLS{CAFile: filepath.Join(t.TempDir(), "none")}
	gather(t, watch(t, gone)).want(t, 1, "cassandra_down", "reason=tls")
}

// secured listens with TLS, asks for a certificate, and passes on to an address.
func secured(t *testing.T, to string, a authority) int {
	pair, err := tls.LoadX509KeyPair(a.cert, a.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: a.pool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, func(conn net.Conn) {
		on, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer on.Close()
		go func() {
			_, _ = io.Copy(on, conn)
			on.Close()
		}()
		_, _ = io.Copy(conn, on)
	})
	return l.Addr().(*net.TCPAddr).Port
}

// serve answers each connection, and ends with the test.
func serve(t *testing.T, l net.Listener, answer func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
}

func TestWhoDoesNotSpeakCQLIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(net.Conn)
		reason string
	}{
		"one that is silent":        {func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, exporter.Timeout},
		"one that hangs up":         {func(net.Conn) {}, exporter.Refused},
		"one that speaks HTTP":      {func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, exporter.Protocol},
		"one that asks for ever":    {asksForEver, exporter.Protocol},
		"one with an unknown error": {func(conn net.Conn) { reply(conn, 0x00, []byte{0, 0, 0x77, 0x77, 0, 1, 'x'}) }, exporter.Protocol},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			serve(t, l, c.answer)
			user := secret(t, "p")
			r := watch(t, Config{
				Hosts: []string{"127.0.0.1"}, Port: l.Addr().(*net.TCPAddr).Port, Timeout: time.Second, Username: "u", PasswordFile: user,
			})
			begun := time.Now()
			got := gather(t, r)
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			got.want(t, 0, "cassandra_up")
			if _, ok := got.find(t, "cassandra_down", "reason="+c.reason); !ok {
				t.Errorf("told %v, want the reason %s; %v", got, c.reason, r.Status())
			}
		})
	}
}

// asksForEver answers each frame with a challenge of SASL, but the first with what
// it supports and the second with a wish for a user.
func asksForEver(conn net.Conn) {
	for i := 0; ; i++ {
		switch i {
		case 0:
			reply(conn, 0x06, []byte{0, 0}) // SUPPORTED, an empty multimap
		case 1:
			reply(conn, 0x03, []byte{0, 1, 'x'}) // AUTHENTICATE
		default:
			reply(conn, 0x0e, []byte{0, 0, 0, 1, 'x'}) // AUTH_CHALLENGE
		}
		if i > 10 {
			return
		}
	}
}

// reply reads a frame of the native protocol, version 4, and answers it.
func reply(conn net.Conn, op byte, body []byte) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(conn, head); err != nil {
		return
	}
	length := int(head[5])<<24 | int(head[6])<<16 | int(head[7])<<8 | int(head[8])
	if _, err := io.CopyN(io.Discard, conn, int64(length)); err != nil {
		return
	}
	out := append([]byte{0x84, 0, head[2], head[3], op, 0, 0, 0, byte(len(body))}, body...)
	_, _ = conn.Write(out)
}

func TestAnAddressWithoutAnybodyIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	got := gather(t, watch(t, Config{Hosts: []string{"127.0.0.1"}, Port: port, Timeout: time.Second}))
	got.want(t, 1, "cassandra_down", "node=127.0.0.1", "reason=refused")
}

func TestANameWithoutAnAddressIsUnresolved(t *testing.T) {
	r := watch(t, Config{Hosts: []string{"nobody.invalid"}, Port: 9042, Timeout: 5 * time.Second})
	r.lookup = func(context.Context, string) ([]string, error) {
		return nil, exporter.Because(exporter.Unresolved, &net.DNSError{Err: "no such host", Name: "nobody.invalid", IsNotFound: true})
	}
	got := gather(t, r)
	got.want(t, 1, "cassandra_down", "node=nobody.invalid", "reason=unresolved")
}
