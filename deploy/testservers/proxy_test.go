package testservers

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo starts a server that answers each line with itself, in capitals.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					_, _ = io.WriteString(conn, strings.ToUpper(lines.Text())+"\n")
				}
				_, _ = io.WriteString(conn, "BYE\n")
			}()
		}
	}()
	return l.Addr().String()
}

// dial connects to the proxy.
func dial(t *testing.T, p *Proxy) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

// ask sends a line and returns the next one.
func ask(conn net.Conn, r *bufio.Reader, line string, patience time.Duration) (string, error) {
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	return r.ReadString('\n')
}

func TestProxyPassesBytesAndTheirEnd(t *testing.T) {
	p := StartProxy(t, echo(t))
	conn, r := dial(t, p)
	if got, err := ask(conn, r, "word", 5*time.Second); got != "WORD\n" {
		t.Errorf("%q, %v", got, err)
	}
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(r); string(rest) != "BYE\n" || err != nil {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	until(t, "no connection is left", func() bool { return p.Connections() == 0 })
}

func TestProxyThatIsCutResetsAndRefuses(t *testing.T) {
	p := StartProxy(t, echo(t))
	conn, r := dial(t, p)
	if _, err := ask(conn, r, "word", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v", err)
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new one ended with %v", err)
	}
	p.Restore(t)
	conn, r = dial(t, p)
	if got, err := ask(conn, r, "again", 5*time.Second); got != "AGAIN\n" {
		t.Errorf("restored: %q, %v", got, err)
	}
}

func TestProxyThatHangsHoldsBackAndLosesNothing(t *testing.T) {
	p := StartProxy(t, echo(t))
	old, oldReader := dial(t, p)
	if _, err := ask(old, oldReader, "word", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Hang()
	fresh, freshReader := dial(t, p)
	for _, c := range []struct {
		conn net.Conn
		r    *bufio.Reader
	}{{old, oldReader}, {fresh, freshReader}} {
		if got, err := ask(c.conn, c.r, "held", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a hung proxy answered %q, %v", got, err)
		}
	}
	p.Restore(t)
	for _, c := range []struct {
		conn net.Conn
		r    *bufio.Reader
	}{{old, oldReader}, {fresh, freshReader}} {
		_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if got, err := c.r.ReadString('\n'); got != "HELD\n" {
			t.Errorf("restored: %q, %v", got, err)
		}
	}
}

func TestProxyWithoutATargetResets(t *testing.T) {
	port, held, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	p := StartProxy(t, loopback(port))
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v", err)
	}
}
