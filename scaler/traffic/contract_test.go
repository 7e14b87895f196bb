package traffic

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"flyball/deploy/testservers"
	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/pool/pooltest"
)

func TestBalanceKeepsTheContract(t *testing.T) {
	pooltest.RunTraffic(t, func(t *testing.T) pooltest.TrafficHarness {
		b := newBalance(t, socketIn(t), freeAddr(t))
		return harness(t, b, b.cfg.Listen, func(t *testing.T) scaler.Traffic { return newBalance(t, b.cfg.Control, b.cfg.Listen) })
	})
}

func TestHAProxyKeepsTheContract(t *testing.T) {
	pooltest.RunTraffic(t, func(t *testing.T) pooltest.TrafficHarness {
		server := testservers.StartHAProxy(t, haproxyConfig)
		h := newHAProxy(t, server, "be_app")
		return harness(t, h, server.Addr("app"), func(*testing.T) scaler.Traffic { return h.again() })
	})
}

// harness has members that answer with their IDs, and at /busy when they are told to.
func harness(t *testing.T, tr scaler.Traffic, front string, again func(*testing.T) scaler.Traffic) pooltest.TrafficHarness {
	arrived, finish := make(chan bool), make(chan bool)
	var ms []rules.Member
	for _, name := range []string{"a", "b", "c"} {
		ms = append(ms, startMember(t, name, loopback2, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/busy" {
				arrived <- true
				<-finish
			}
			_, _ = io.WriteString(w, "id-"+name)
		}))
	}
	ask := func(t *testing.T, path string) string {
		res, err := http.Get("http://" + front + path)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer res.Body.Close()
		return string(must[[]byte](t)(io.ReadAll(res.Body)))
	}
	return pooltest.TrafficHarness{
		Traffic: tr, Again: again, Members: ms,
		Served: func(t *testing.T) []rules.MemberID {
			var served []rules.MemberID
			for range 12 {
				served = append(served, rules.MemberID(ask(t, "/")))
			}
			slices.Sort(served)
			return slices.Compact(served)
		},
		Busy: func(t *testing.T, m rules.Member) func() {
			answered := make(chan string)
			go func() { answered <- ask(t, "/busy") }()
			<-arrived
			return func() {
				finish <- true
				if got := <-answered; !strings.Contains(got, string(m.ID)) {
					t.Errorf("the request was answered with %q, want %s", got, m.ID)
				}
			}
		},
	}
}
