package pool

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"flyball/rules"
	"flyball/scaler/pool/process"
)

func TestTheLogNamesPoolAndMemberThatChanged(t *testing.T) {
	var log bytes.Buffer
	e := env()
	e.DataDir, e.Log = t.TempDir(), slog.New(slog.NewTextHandler(&log, nil))
	p, err := New("web", Config{Process: &process.Config{Command: []string{"true"}, Ports: "21000-21009"}}, e)
	if err != nil {
		t.Fatal(err)
	}
	r := p.ready
	r.track([]rules.Member{{ID: "500000007", Name: "web-2", State: rules.Booting}}, rules.Terms{})
	r.heard("500000007", nil)
	if got := log.String(); !strings.Contains(got, `pool=web member="web-2 (500000007)" from=booting to=ready`) || strings.Contains(got, "err=") {
		t.Errorf("logged %s", got)
	}
	log.Reset()
	for range r.cfg.Failures {
		r.heard("500000007", errors.New("refused"))
	}
	if got := log.String(); !strings.Contains(got, "to=unhealthy err=refused") {
		t.Errorf("logged %s", got)
	}
}
