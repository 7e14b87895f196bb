package journal

import (
	"testing"
	"time"

	"flyball/rules"
)

func TestAStepsEndChangesTheMemoryTogetherWithIt(t *testing.T) {
	j, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	tick := Tick{Pool: "web", Out: rules.Decision{Pool: "web", At: at}, After: rules.Memory{Version: rules.MemoryVersion, Named: 3}}
	seq, err := j.Begin(Step{ID: "web-1", Target: "pool/web", Verb: Grow, Names: []string{"web-3"}}, &tick)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.End(seq, Outcome{Err: "quota", After: &rules.Memory{Version: rules.MemoryVersion, Named: 3, Owed: 1}}); err != nil {
		t.Fatal(err)
	}
	m, ok, err := j.Memory("web")
	if err != nil || !ok || m.Owed != 1 || m.Named != 3 {
		t.Errorf("the memory is %+v, %t, %v", m, ok, err)
	}
	if err := j.End(seq, Outcome{OK: true, After: &rules.Memory{Version: rules.MemoryVersion}}); err == nil {
		t.Error("a step ended twice")
	}
	if m, _, _ := j.Memory("web"); m.Owed != 1 {
		t.Error("an end that was refused changed the memory")
	}
}
