package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"flyball/rules"
)

const (
	leastTimeout = time.Second
	mostTimeout  = 10 * time.Minute
)

// Resolve puts relative names of files below dir, where the configuration is.
func (c *Config) Resolve(dir string) {
	for _, f := range []*string{&c.APIKeyFile, &c.PasswordFile, &c.CAFile, &c.CertFile, &c.KeyFile} {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, *f)
		}
	}
}

// Validate names the mistakes of c. Paths begin at the block: .urls[0].
func (c Config) Validate() []rules.Fault {
	fs := slices.Concat(c.urlFaults(), c.userFaults(), c.certificateFaults())
	if t := time.Duration(c.Timeout); t != 0 && (t < leastTimeout || t > mostTimeout) {
		fs = append(fs, rules.Fault{Path: ".timeout", Text: c.Timeout.String() + " is not between 1s and 10m", Hint: "write e.g. 30s"})
	}
	return fs
}

func (c Config) urlFaults() []rules.Fault {
	if len(c.URLs) == 0 {
		return []rules.Fault{{Path: ".urls", Text: "is missing", Hint: urlHint}}
	}
	var fs []rules.Fault
	for i, u := range c.URLs {
		text, hint := urlFault(u)
		if text == "" && slices.Contains(c.URLs[:i], u) {
			text, hint = "stands there twice", "leave it out"
		}
		if text != "" {
			fs = append(fs, rules.Fault{Path: ".urls[" + strconv.Itoa(i) + "]", Text: text, Hint: hint})
		}
	}
	return fs
}

// urlHint is what an address looks like.
const urlHint = "write e.g. https://es.example:9200"

// urlFault is what is wrong with an address, and what to do; "" if nothing is. It
// does not quote the address, which may hold a password.
func urlFault(address string) (text, hint string) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "is no address", urlHint
	case u.User != nil:
		return "holds a user or a password", "write them into username and password_file, or use api_key_file"
	case u.Scheme != "http" && u.Scheme != "https":
		return "begins neither with https:// nor with http://", urlHint
	case u.Hostname() == "":
		return "names no host", urlHint
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "holds more than scheme, host, port and path", urlHint
	}
	return "", ""
}

// shown are the addresses as they may be shown: without users and passwords.
func (c Config) shown() []string {
	shown := make([]string, len(c.URLs))
	for i, address := range c.URLs {
		u, err := url.Parse(address)
		if err != nil {
			shown[i] = "(no address)"
			continue
		}
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		shown[i] = u.String()
	}
	return shown
}

func (c Config) userFaults() []rules.Fault {
	switch {
	case c.APIKeyFile != "" && (c.Username != "" || c.PasswordFile != ""):
		return []rules.Fault{{Path: ".api_key_file", Text: "stands beside username or password_file", Hint: "write one or the other"}}
	case c.Username != "" && c.PasswordFile == "":
		return []rules.Fault{{Path: ".password_file", Text: "is missing", Hint: "write the user's password into a file, and name it here"}}
	case c.Username == "" && c.PasswordFile != "":
		return []rules.Fault{{Path: ".username", Text: "is missing", Hint: "name the user whose password is in password_file"}}
	case strings.Contains(c.Username, ":"):
		return []rules.Fault{{Path: ".username", Text: "holds a colon", Hint: "write the password into a file, and name it in password_file"}}
	}
	if _, err := c.authorization(); err != nil {
		path := ".api_key_file"
		if c.PasswordFile != "" {
			path = ".password_file"
		}
		return []rules.Fault{fileFault(path, err)}
	}
	return nil
}

// fileFault is a mistake of a file that is named at path.
func fileFault(path string, err error) rules.Fault {
	hint := "see that the file is there and that Flyball may read it"
	var c *contentError
	if errors.As(err, &c) {
		hint = c.hint
	}
	return rules.Fault{Path: path, Text: err.Error(), Hint: hint}
}

func (c Config) certificateFaults() []rules.Fault {
	var fs []rules.Fault
	if c.CAFile != "" {
		if _, err := c.authorities(); err != nil {
			fs = append(fs, fileFault(".ca_file", err))
		}
	}
	switch {
	case c.CertFile != "" && c.KeyFile == "":
		fs = append(fs, rules.Fault{Path: ".key_file", Text: "is missing", Hint: "name the file of the key of cert_file"})
	case c.CertFile == "" && c.KeyFile != "":
		fs = append(fs, rules.Fault{Path: ".cert_file", Text: "is missing", Hint: "name the file of the certificate of key_file"})
	case c.CertFile != "":
		if _, err := c.certificate(); err != nil {
			fs = append(fs, fileFault(".cert_file", err))
		}
	}
	secure := slices.ContainsFunc(c.URLs, func(u string) bool { return strings.HasPrefix(u, "https:") })
	if (c.CAFile != "" || c.CertFile != "") && !secure && len(c.URLs) > 0 {
		fs = append(fs, rules.Fault{Path: ".urls", Text: "begin with http://, and certificates are named", Hint: "write https://, or leave ca_file and cert_file out"})
	}
	return fs
}

// A contentError is a file that can be read and does not hold what it should.
type contentError struct{ file, text, hint string }

func (e *contentError) Error() string { return e.file + " " + e.text }

// authorization is the header of that name, read from the files; "" if there is none.
func (c Config) authorization() (string, error) {
	switch {
	case c.APIKeyFile != "":
		key, err := secret(c.APIKeyFile)
		if err == nil && strings.Contains(key, ":") {
			err = &contentError{c.APIKeyFile, "holds an id and a key", "write the field `encoded` of Elasticsearch's answer into it, or base64 of id:key"}
		}
		return "ApiKey " + key, err
	case c.PasswordFile != "":
		password, err := secret(c.PasswordFile)
		return basic(c.Username, password), err
	}
	return "", nil
}

// secret reads a file of one word.
func secret(file string) (string, error) {
	b, err := read(file)
	if err != nil {
		return "", err
	}
	s := strings.TrimRight(string(b), "\r\n")
	switch {
	case s == "":
		return "", &contentError{file, "is empty", "write the secret into it"}
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", &contentError{file, "holds more than one line", "write the secret into it, on one line"}
	}
	return s, nil
}

// authorities are the certificates of CAFile; nil, which means the system's, if
// there is none.
func (c Config) authorities() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	b, err := read(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, &contentError{c.CAFile, "holds no certificate", "write certificates into it as PEM: -----BEGIN CERTIFICATE-----"}
	}
	return pool, nil
}

// certificate is our own.
func (c Config) certificate() (*tls.Certificate, error) {
	cert, err := read(c.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := read(c.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil { // which tells nothing of what is in them
		return nil, &contentError{c.CertFile, "and " + c.KeyFile + " are no pair: " + err.Error(), "write a certificate and its key into them, as PEM"}
	}
	return &pair, nil
}

func read(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	var p *os.PathError
	if errors.As(err, &p) {
		return nil, fmt.Errorf("%s cannot be read: %w", file, p.Err)
	}
	return b, err
}
