package cassandra

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"flyball/collector/exporter"
)

// Config is one ring.
type Config struct {
	Name string `yaml:"name" required:"true" doc:"what the ring is called here"`
	// Hosts are where the ring is found. A name that has several addresses stands
	// for the nodes at all of them, each shown by its address.
	Hosts []string `yaml:"hosts" required:"true" doc:"addresses or names of nodes, without a port; the others are found through them"`
	Port  int      `yaml:"port" default:"9042" doc:"where they speak CQL"`
	// Username and PasswordFile are for a ring that asks for a user. The file is
	// read anew at each connect, so that a rotated password works.
	Username     string `yaml:"username" doc:"who logs in; it needs SELECT on the keyspace system_views"`
	PasswordFile string `yaml:"password_file" doc:"file that holds the password"`
	TLS          *TLS   `yaml:"tls" doc:"talk TLS to the nodes"`
	Datacenter   string `yaml:"datacenter" doc:"watch the nodes of this data centre only"`
	Discover     bool   `yaml:"discover" default:"true" doc:"watch all nodes of the ring, at the addresses that they tell clients, and not just hosts"`
	// Tables bounds the series: all that is told table by table is told of so many.
	Tables int  `yaml:"tables" default:"100" doc:"of how many tables to tell, those that take most disk; 0: of none"`
	System bool `yaml:"system_keyspaces" default:"false" doc:"show the tables of Cassandra's own keyspaces, too"`
	// Timeout is for one scrape of all nodes, which are read at the same time.
	Timeout time.Duration `yaml:"timeout" default:"5s" doc:"how long a scrape may take"`
}

// TLS says which certificates are accepted and shown. A node's certificate is
// always verified.
type TLS struct {
	CAFile     string `yaml:"ca_file" doc:"certificates that sign those of the nodes; by default the system's"`
	CertFile   string `yaml:"cert_file" doc:"our own certificate, for nodes that ask for one"`
	KeyFile    string `yaml:"key_file" doc:"key of our own certificate"`
	ServerName string `yaml:"server_name" doc:"name in the nodes' certificates, if all bear the same; by default that under which a node is reached"`
}

const mostTables = 10000

// hostName is a name or an IPv4 address; what has colons is looked at as IPv6.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_.])?$`)

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	below := func(name *string) {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
	below(&c.PasswordFile)
	if c.TLS != nil {
		t := *c.TLS
		below(&t.CAFile)
		below(&t.CertFile)
		below(&t.KeyFile)
		c.TLS = &t
	}
}

// Validate names the mistakes.
func (c Config) Validate() []exporter.Mistake {
	var ms []exporter.Mistake
	add := func(field, text, hint string) {
		ms = append(ms, exporter.Mistake{Field: field, Text: text, Hint: hint})
	}
	if len(c.Hosts) == 0 {
		add(".hosts", "names no node", "write hosts: [10.0.0.4, 10.0.0.5]")
	}
	for i, h := range c.Hosts {
		field := fmt.Sprintf(".hosts[%d]", i)
		if net.ParseIP(h) == nil && !hostName.MatchString(h) {
			add(field, fmt.Sprintf("%q is neither an address nor a name", h), "write 10.0.0.4 or cassandra-0.example; the port stands in port")
		} else if slices.Index(c.Hosts, h) < i {
			add(field, h+" is named twice", "write it once")
		}
	}
	if c.Port < 0 || c.Port > 65535 {
		add(".port", fmt.Sprintf("%d is no port", c.Port), "write 9042")
	}
	if c.Tables < 0 || c.Tables > mostTables {
		add(".tables", fmt.Sprintf("%d is not between 0 and %d", c.Tables, mostTables), "write e.g. 100; each has some 40 series a node")
	}
	if c.Timeout != 0 && (c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute) {
		add(".timeout", fmt.Sprintf("%s is not between 100ms and 1m", c.Timeout), "write e.g. 5s, shorter than the scrape interval")
	}
	return append(append(ms, c.loginMistakes()...), c.TLS.mistakes()...)
}

func (c Config) loginMistakes() []exporter.Mistake {
	switch {
	case c.Username != "" && c.PasswordFile == "":
		return []exporter.Mistake{{Field: ".username", Text: "has no password", Hint: "write password_file"}}
	case c.Username == "" && c.PasswordFile != "":
		return []exporter.Mistake{{Field: ".password_file", Text: "is for nobody", Hint: "write username"}}
	case c.PasswordFile != "":
		if _, err := os.Stat(c.PasswordFile); err != nil {
			return []exporter.Mistake{{Field: ".password_file", Text: "cannot be read: " + err.Error(), Hint: "write the password into that file"}}
		}
	}
	return nil
}

func (t *TLS) mistakes() []exporter.Mistake {
	if t == nil {
		return nil
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return []exporter.Mistake{{Field: ".tls.cert_file", Text: "stands without key_file, or key_file without it", Hint: "write both, or none"}}
	}
	if _, err := t.config("localhost"); err != nil {
		return []exporter.Mistake{{Field: ".tls", Text: err.Error(), Hint: "name files in PEM format"}}
	}
	return nil
}

// config reads the files. They are read at each connect, so that renewed ones count.
func (t *TLS) config(host string) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if t.ServerName != "" {
		out.ServerName = t.ServerName
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca_file holds no certificate")
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read cert_file and key_file: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = 9042
	}
	if c.Timeout <= 0 {
		c.Timeout = exporter.DefaultTimeout
	}
	return c
}
