package demo

import (
	"bytes"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// The windows of the demo's rule, shortened so that three minutes show both directions.
const (
	inWindow  = 10 * time.Second
	warmup    = 5 * time.Second
	perMember = 14 // requests a second that one member is to take, of the 20 that it can
	least     = 1
	most      = 6
)

//go:embed *.tmpl
var templates embed.FS

//go:embed web.scale.yaml
var ruleText []byte

// A stage is the folder, the addresses and the names that a demo plays with.
type stage struct {
	dir     string
	config  string // path of flyball.yaml
	listen  string // Flyball
	balance string // where the load goes
	image   string // of the members; "": they are processes
}

// prepare writes configuration and rule.
func prepare(dir string, o Options) (*stage, error) {
	s := &stage{dir: dir, config: filepath.Join(dir, "flyball.yaml")}
	var err error
	if s.listen, err = free(o.Listen); err != nil {
		return nil, err
	}
	if s.balance, err = free("127.0.0.1:0"); err != nil {
		return nil, err
	}
	from := "flyball.yaml.tmpl"
	if o.Pool == Containers {
		from, s.image = "container.yaml.tmpl", imageName()
		if err := s.write("haproxy.cfg", "haproxy.cfg.tmpl", o); err != nil {
			return nil, err
		}
	}
	if err := s.write("flyball.yaml", from, o); err != nil {
		return nil, err
	}
	for _, sub := range []string{"rules", "db"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	// Members in containers may be another user.
	if err := os.Chmod(filepath.Join(dir, "db"), 0o777); err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(dir, "rules", "web.scale.yaml"), ruleText, 0o644)
}

// write fills in a template.
func (s *stage) write(name, from string, o Options) error {
	t, err := template.ParseFS(templates, from)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{
		"Listen": s.listen, "Balance": s.balance, "Dir": s.dir, "App": o.App, "Image": s.image,
		"Socket": o.Socket, "Network": o.Network, "Store": strings.Join(o.store(s.dir), ", "), "Hold": o.hold(),
	}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, name), b.Bytes(), 0o644)
}

// free returns an address to listen on: the given one, or another if it is taken.
func free(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tail is the end of Flyball's log, for an error message.
func (s *stage) tail() []byte {
	b, err := os.ReadFile(filepath.Join(s.dir, "flyball.log"))
	if err != nil {
		return nil
	}
	return b[max(0, len(b)-2000):]
}
