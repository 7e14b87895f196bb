package cassandra

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"
)

// inOrder is a host policy that gives hosts in one order.
type inOrder struct {
	gocql.HostSelectionPolicy
	hosts []*gocql.HostInfo
}

func (o inOrder) Pick(gocql.ExecutableQuery) gocql.NextHost {
	rest := o.hosts
	return func() gocql.SelectedHost {
		if len(rest) == 0 {
			return nil
		}
		h := rest[0]
		rest = rest[1:]
		return chosen{h}
	}
}

type chosen struct{ host *gocql.HostInfo }

func (c chosen) Info() *gocql.HostInfo { return c.host }
func (c chosen) Mark(error)            {}

func hosts(names ...string) (hs []*gocql.HostInfo) {
	for _, n := range names {
		h := &gocql.HostInfo{}
		h.SetHostID(n)
		hs = append(hs, h)
	}
	return hs
}

// order asks a policy for all hosts.
func order(p gocql.HostSelectionPolicy, most int) (names []string) {
	next := p.Pick(nil)
	for len(names) < most {
		h := next()
		if h == nil {
			return names
		}
		names = append(names, h.Info().HostID())
	}
	return names
}

func TestASilentNodeIsAskedLastUntilItSaysSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hs := hosts("a", "b", "c")
		p := newAttention(inOrder{hosts: hs})
		check := func(when string, want ...string) {
			t.Helper()
			if got := order(p, len(want)); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
		check("at first", "a")
		time.Sleep(silence)
		check("while it may still answer", "a")
		time.Sleep(time.Millisecond)
		check("silent for too long", "b", "c", "a")
		time.Sleep(2 * silence)
		check("all silent", "a", "b", "c")
		p.ObserveFrameHeader(context.Background(), gocql.ObservedFrameHeader{Host: hs[2]})
		check("the last one spoke", "c", "a", "b")
		p.ObserveFrameHeader(context.Background(), gocql.ObservedFrameHeader{Host: hs[0]})
		check("the first one spoke too", "a", "c", "b")
	})
}
