package demo

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// What the demo's rules say, which the view tells. Windows are shortened so that
// two or three minutes show both directions.
const (
	inWindow  = 10 * time.Second
	serves    = 20 // requests a second that one member can serve
	perMember = 14 // that it is to take
	busyAbove = 65 // percent of its time that a worker is busy, above which members are added
	busyBelow = 30 // and below which they go
	least     = 1
	most      = 6
)

//go:embed *.tmpl
var templates embed.FS

// A stage is the folder, the addresses and the names that a demo plays with.
type stage struct {
	dir     string
	config  string // path of flyball.yaml
	listen  string // Flyball
	balance string // where the load goes
	image   string // of the members; "": they are processes
	script  script
	elastic *elastic // nil: without
}

// prepare chooses addresses, and writes configuration and rule.
func prepare(dir string, o Options) (*stage, error) {
	s := &stage{dir: dir, config: filepath.Join(dir, "flyball.yaml"), script: o.script()}
	var err error
	if s.listen, err = free(o.Listen); err != nil {
		return nil, err
	}
	if s.balance, err = free("127.0.0.1:0"); err != nil {
		return nil, err
	}
	if o.Pool == Containers {
		s.image = imageName()
	}
	if o.Elasticsearch != "" {
		if s.elastic, err = besideElastic(o.Elasticsearch); err != nil {
			return nil, err
		}
	}
	if err := s.fill(o); err != nil {
		return nil, errors.Join(err, s.elastic.leave())
	}
	return s, nil
}

// fill writes the files of the stage's folder.
func (s *stage) fill(o Options) error {
	for _, sub := range []string{"rules", "db"} {
		if err := os.Mkdir(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	// Members in containers may be another user.
	if err := os.Chmod(filepath.Join(s.dir, "db"), 0o777); err != nil {
		return err
	}
	for name, from := range s.files(o) {
		if err := s.write(name, from, o); err != nil {
			return err
		}
	}
	return nil
}

// files are those that are written, each with its template.
func (s *stage) files(o Options) map[string]string {
	out := map[string]string{"flyball.yaml": "flyball.yaml.tmpl", "rules/web.scale.yaml": "web.scale.yaml.tmpl"}
	if o.Pool == Containers {
		out["flyball.yaml"], out["haproxy.cfg"] = "container.yaml.tmpl", "haproxy.cfg.tmpl"
	}
	if s.elastic != nil {
		out["rules/web.scale.yaml"], out["demo.views.yaml"] = "elastic.scale.yaml.tmpl", "demo.views.yaml.tmpl"
	}
	return out
}

// write fills in a template.
func (s *stage) write(name, from string, o Options) error {
	t, err := template.ParseFS(templates, "*.tmpl")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, from, map[string]any{
		"Listen": s.listen, "Balance": s.balance, "Dir": s.dir, "App": o.App, "Image": s.image,
		"Socket": o.Socket, "Network": o.Network, "Store": strings.Join(o.store(s.dir), ", "), "Hold": o.hold(),
		"Elastic": s.elastic, "PerMember": perMember, "Above": busyAbove, "Below": busyBelow,
		"Min": least, "Max": most, "InWindow": inWindow, "Warmup": s.script.warmup,
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
