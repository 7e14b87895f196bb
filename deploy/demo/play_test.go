package demo

import (
	"fmt"
	"testing"
	"time"

	"flyball/rules"
)

func TestAfterAKillTheReadyAreToBeThereAndNobodyTwice(t *testing.T) {
	killed := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	old, young := killed.Add(-time.Minute), killed.Add(time.Second)
	pool := func(ms ...rules.Member) map[rules.MemberID]rules.Member {
		h := history{}
		h.pool.Members = ms
		return lives(&h)
	}
	m := func(id string, state rules.State, born time.Time) rules.Member {
		return rules.Member{ID: rules.MemberID(id), Name: "web-" + id[:1], State: state, Born: born}
	}
	before := pool(m("1", rules.Ready, old), m("2", rules.Ready, old), m("3", rules.Draining, old))
	for _, c := range []struct {
		name  string
		after map[rules.MemberID]rules.Member
		want  string // ready before, of them there, doubles
	}{
		{"all are known again", before, "2 2 0"},
		{"one that drained has ended", pool(m("1", rules.Ready, old), m("2", rules.Ready, old)), "2 2 0"},
		{"the pool has grown", pool(m("1", rules.Ready, old), m("2", rules.Ready, old), m("4", rules.Booting, young)), "2 2 0"},
		{"one is lost", pool(m("1", rules.Ready, old)), "2 1 0"},
		{"one was made anew under its name", pool(m("1", rules.Ready, old), m("2b", rules.Ready, young)), "2 1 0"},
		{"one was there that nobody knew", pool(m("1", rules.Ready, old), m("2", rules.Ready, old), m("5", rules.Ready, old)), "2 2 1"},
	} {
		if got := fmt.Sprint(known(before, c.after, killed)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
