package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

//go:embed flyball.yaml.tmpl
var configText string

//go:embed web.scale.yaml
var ruleText []byte

// A stage is the folder and the addresses that a demo plays with.
type stage struct {
	dir     string
	config  string // path of flyball.yaml
	listen  string // Flyball
	balance string // the balancer
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
	t, err := template.New("flyball.yaml").Parse(configText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]any{"Listen": s.listen, "Balance": s.balance, "App": o.App, "Dir": dir}); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.config, b.Bytes(), 0o644); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "rules"), 0o755); err != nil {
		return nil, err
	}
	return s, os.WriteFile(filepath.Join(dir, "rules", "web.scale.yaml"), ruleText, 0o644)
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
