package rules

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// victims are IDs in a line.
func victims(ids []MemberID) string { return Decision{Victims: ids}.going(len(ids)) }

func TestAMemberIsNamedAsPeopleAndItsProviderKnowIt(t *testing.T) {
	long := strings.Repeat("4c01db0b339c", 6)
	for _, c := range []struct {
		n    Named
		want string
	}{
		{Named{ID: "web-3", Name: "web-3"}, "web-3"},
		{Named{ID: "500000015", Name: "web-3"}, "web-3 (500000015)"},
		{Named{ID: "web-3.k7dq2m1x", Name: "web-3"}, "web-3"},
		{Named{ID: "name:web-3", Name: "web-3"}, "web-3"},
		{Named{ID: "web-3", Name: "web-3", Note: "exit status 1"}, "web-3 (exit status 1)"},
		{Named{ID: "500000015", Name: "web-3", Note: "turned off"}, "web-3 (500000015, turned off)"},
		{Named{ID: "500000015", Name: "web-3", Note: "droplet 500000015, turned off"}, "web-3 (droplet 500000015, turned off)"},
		{Named{ID: MemberID(long), Name: "web-3"}, "web-3 (4c01db0b339c)"},
		{Named{ID: MemberID(long), Name: "web-3", Note: "container 4c01db0b339c"}, "web-3 (container 4c01db0b339c)"},
	} {
		if got := c.n.String(); got != c.want {
			t.Errorf("%+v is told as %q, want %q", [3]string{string(c.n.ID), c.n.Name, c.n.Note}, got, c.want)
		}
	}
}

func TestAReplacementNamesItsVictimsWithTheirNotes(t *testing.T) {
	dead := states(pool(4), epoch.Add(-time.Minute), Dead, Dead)
	dead[2].ID, dead[2].Note = "500000003", "DigitalOcean could not make it"
	dead[3].Note = strings.Repeat("much ", 100)
	sick := states(pool(4), epoch.Add(-time.Hour), Unhealthy)
	sick[3].Note = "GET /healthz: 503"
	for _, c := range []struct {
		name    string
		members []Member
		line    string
		row     string
	}{
		{"the dead", dead, "replace: web-3 (500000003, DigitalOcean could not make it), web-4 (much much", "replaces web-3 (500000003, DigitalOcean could not make it), web-4 (much"},
		{"the sick", sick, "REPLACE 1 of 4   replace: web-4 (GET /healthz: 503)", "replaces web-4 (GET /healthz: 503)"},
	} {
		d, _ := Decide(cpu(), Inputs{Members: c.members, Terms: can, Answers: []Answer{each(epoch, times(4, 0.6)...)}}, settled(1), epoch)
		if got := d.Line(); !strings.Contains(got, c.line) || len(got) > 400 {
			t.Errorf("%s: %s, want %s", c.name, got, c.line)
		}
		if got := strings.Join(strings.Fields(d.Explain()), " "); !strings.Contains(got, c.row) {
			t.Errorf("%s: explained as\n%s\nwant %s", c.name, d.Explain(), c.row)
		}
	}
}

// Who is replaced fits a line, however many they are; the explanation has all.
func TestALineNamesTheFirstOfMany(t *testing.T) {
	all := pool(30)
	for i := range all {
		all[i].State, all[i].Since = Dead, epoch
	}
	d, _ := Decide(cpu(), Inputs{Members: all, Terms: can, Answers: []Answer{{Err: "no data"}}}, settled(1), epoch)
	if got := d.Line(); !strings.HasSuffix(got, "replace: web-1, web-2, web-3 and 27 more") {
		t.Errorf("line %q", got)
	}
	if text := d.Explain(); !strings.Contains(text, "web-30") {
		t.Errorf("the explanation does not name all:\n%s", text)
	}
}

func TestADecisionOfAnEarlierVersionStillNamesItsVictims(t *testing.T) {
	var d Decision
	old := `{"pool":"web","size":2,"verdict":"replace","to":2,"reason":"replace","victims":["500000003"]}`
	if err := json.Unmarshal([]byte(old), &d); err != nil {
		t.Fatal(err)
	}
	if got := d.Line(); got != "REPLACE 1 of 2   replace: 500000003" {
		t.Errorf("line %q", got)
	}
	if text := d.Explain(); !strings.Contains(text, "replaces  500000003\n") {
		t.Errorf("explained as\n%s", text)
	}
}
