package cassandra

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"flyball/deploy/testservers"
)

// tunnel takes TLS connections to a node's address and passes them on to it in clear,
// as the node itself would take them with a certificate of its own.
type tunnel struct {
	listener net.Listener
	target   string
	wait     sync.WaitGroup
}

// DialContext opens a connection to the tunnel, whatever node is asked for.
func (tu *tunnel) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, tu.listener.Addr().String())
}

func (tu *tunnel) serve() {
	for {
		client, err := tu.listener.Accept()
		if err != nil {
			return
		}
		tu.wait.Go(func() { tu.pass(client) })
	}
}

func (tu *tunnel) pass(client net.Conn) {
	defer client.Close()
	node, err := net.Dial("tcp", tu.target)
	if err != nil {
		return
	}
	defer node.Close()
	tu.wait.Go(func() {
		io.Copy(node, client)
		node.Close()
	})
	io.Copy(client, node)
}

// secured starts a tunnel to a node that shows a certificate for an address, and writes
// the certificate to a file.
func secured(t *testing.T, target, address string) (tu *tunnel, file string) {
	t.Helper()
	certificate := selfSigned(t, address)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	tu = &tunnel{listener: l, target: target}
	tu.wait.Go(tu.serve)
	t.Cleanup(func() {
		l.Close()
		tu.wait.Wait()
	})
	file = filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return tu, file
}

func selfSigned(t *testing.T, address string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestNodesAreKnownByTheirCertificates(t *testing.T) {
	t.Parallel()
	c := testservers.SharedCassandra(t)
	o := migrated(t, c)
	right, rightFile := secured(t, c.Addr(0), c.Hosts()[0])
	wrong, wrongFile := secured(t, c.Addr(0), "127.0.255.255")
	open := func(through *tunnel, file string) error {
		o.dialer, o.CAFile, o.Registry = through, file, nil
		s, err := Open(t.Context(), o)
		if err == nil {
			err = errors.Join(s.Ping(t.Context()), s.Close())
		}
		return err
	}
	if err := open(right, rightFile); err != nil {
		t.Error(err)
	}
	says(t, open(wrong, wrongFile), "not the one that it should be", c.Hosts()[0])
	says(t, open(right, wrongFile), "not the one that it should be", "unknown authority")
	says(t, open(right, rightFile+".gone"), rightFile+".gone")
	says(t, open(right, ""), c.Hosts()[0]) // in clear
}
