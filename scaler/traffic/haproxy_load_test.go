package traffic

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/deploy/testservers"
	"flyball/rules"
)

// busyMembers are members that take some milliseconds for each request, on
// addresses of their own, and that can be ended the hard way.
func busyMembers(t *testing.T, n int) ([]*slot, []rules.Member) {
	t.Helper()
	var ss []*slot
	var ms []rules.Member
	for i := range n {
		s := &slot{addr: fmt.Sprintf("127.0.0.%d:0", i+2)}
		s.begin(t)
		t.Cleanup(s.end)
		name := fmt.Sprint("m", i)
		ss, ms = append(ss, s), append(ms, rules.Member{ID: rules.MemberID(name), Name: name, Addr: s.addr, State: rules.Ready})
	}
	return ss, ms
}

func TestAReloadInTheMiddleOfAScaleOutLosesNothing(t *testing.T) {
	server := testservers.StartHAProxy(t, strings.ReplaceAll(haproxyConfig, "web 1-4", "web 1-20"))
	h := newHAProxy(t, server, "be_app")
	h.running(t)
	_, ms := busyMembers(t, 12)
	do(t, h.Admit(t.Context(), ms[:2]))
	c := newCrowd(t, "http://"+server.Addr("app"), 40, 50*time.Millisecond) // 800 requests a second
	c.more(t, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, m := range ms[2:] {
			if err := h.Admit(t.Context(), []rules.Member{m}); err != nil {
				t.Error(err)
			}
			c.more(t, 40)
		}
	})
	for range 4 {
		server.Reload(t)
		c.more(t, 80)
	}
	wg.Wait()
	server.Reload(t)
	want := map[string]string{}
	for i, m := range ms {
		want[fmt.Sprintf("web%d", i+1)] = m.Addr + " ready"
	}
	until(t, "all members", func() bool { return cmp.Equal(slotsOf(t, h), want) })
	c.more(t, 100)
	c.leave()
	t.Logf("%d requests, %d failed, 5 reloads", c.sent.Load(), c.failed.Load())
}

// TestNoRequestIsLostWhenMembersBehindHAProxyComeAndGo ends a member the hard way
// in the very moment in which its open requests are told to be none, HAProxy
// being reloaded all the while.
func TestNoRequestIsLostWhenMembersBehindHAProxyComeAndGo(t *testing.T) {
	const cycles = 40
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	h.running(t)
	ss, ms := busyMembers(t, 3)
	do(t, h.Admit(t.Context(), ms))
	c := newCrowd(t, "http://"+server.Addr("app"), 40, 50*time.Millisecond)
	for i := range cycles {
		s, m := ss[i%len(ss)], &ms[i%len(ms)]
		do(t, h.Withdraw(t.Context(), []rules.Member{*m}))
		if i%8 == 3 {
			server.Reload(t)
		}
		until(t, "the end of its requests", func() bool {
			n, known := must[map[rules.MemberID]int](t)(h.Open(t.Context()))[m.ID]
			return known && n == 0
		})
		s.end()
		s.begin(t)
		m.ID = rules.MemberID(fmt.Sprint("m", i+len(ss))) // another member, at the same address
		do(t, h.Admit(t.Context(), []rules.Member{*m}))
		c.more(t, 20)
	}
	c.leave()
	t.Logf("%d requests, %d failed, %d cycles, %d reloads", c.sent.Load(), c.failed.Load(), cycles, cycles/8)
}

func TestRequestsInAnEarlierWorkerAreNotTakenForNone(t *testing.T) {
	server := testservers.StartHAProxy(t, haproxyConfig)
	h := newHAProxy(t, server, "be_app")
	arrived, finish := make(chan bool), make(chan bool)
	m := startMember(t, "slow", "127.0.0.2:0", func(http.ResponseWriter, *http.Request) { arrived <- true; <-finish })
	do(t, h.Admit(t.Context(), []rules.Member{m}))
	answered := make(chan error)
	go func() {
		res, err := http.Get("http://" + server.Addr("app"))
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()
	<-arrived
	server.Reload(t)
	do(t, h.Withdraw(t.Context(), []rules.Member{m}))
	for range 3 {
		if open := must[map[rules.MemberID]int](t)(h.Open(t.Context())); len(open) != 0 {
			t.Errorf("open requests are %v while the earlier worker has one; want none known", open)
		}
	}
	close(finish)
	do(t, <-answered)
	until(t, "the end of the earlier worker", func() bool {
		n, known := must[map[rules.MemberID]int](t)(h.Open(t.Context()))[m.ID]
		return known && n == 0
	})
}

func TestADrainedMemberGetsNothingByACookie(t *testing.T) {
	server := testservers.StartHAProxy(t, strings.Replace(haproxyConfig, "\nbackend be_app\n", "\nbackend be_app\n    dynamic-cookie-key k\n    cookie S insert dynamic\n", 1))
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b")
	do(t, h.Admit(t.Context(), ms[:1]))
	var jar []*http.Cookie
	ask := func() string {
		req := must[*http.Request](t)(http.NewRequest(http.MethodGet, "http://"+server.Addr("app"), nil))
		for _, c := range jar {
			req.AddCookie(c)
		}
		res := must[*http.Response](t)(http.DefaultClient.Do(req))
		defer res.Body.Close()
		if jar == nil {
			jar = res.Cookies()
		}
		return string(must[[]byte](t)(io.ReadAll(res.Body)))
	}
	if got := ask(); got != "a" || len(jar) != 1 {
		t.Fatalf("got %q with %d cookies, want a with one", got, len(jar))
	}
	do(t, h.Admit(t.Context(), ms[1:]))
	do(t, h.Withdraw(t.Context(), ms[:1]))
	if got := ask(); got != "a" {
		t.Fatalf("a drained member gets the requests of its cookie; got %q: HAProxy does otherwise than this test thinks", got)
	}
	until(t, "no open request", func() bool { return must[map[rules.MemberID]int](t)(h.Open(t.Context()))["id-a"] == 0 })
	if got := ask(); got != "b" {
		t.Errorf("got %q after no open request was told, want b", got)
	}
}

func TestASlotThatIsGivenOnSendsNothingToTheOldAddress(t *testing.T) {
	server := testservers.StartHAProxy(t, strings.Replace(haproxyConfig, "\nbackend be_app\n", "\nbackend be_app\n    http-reuse always\n", 1))
	h := newHAProxy(t, server, "be_app")
	ms := namedMembers(t, "a", "b", "c", "d", "new")
	do(t, h.Admit(t.Context(), ms[:4]))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}} // HAProxy keeps connections to members, too
	seen := func() map[string]bool {
		got := map[string]bool{}
		for range 40 {
			res := must[*http.Response](t)(client.Get("http://" + server.Addr("app")))
			got[string(must[[]byte](t)(io.ReadAll(res.Body)))] = true
			_ = res.Body.Close()
		}
		return got
	}
	if got := seen(); len(got) != 4 {
		t.Fatalf("%v answered, want four", got)
	}
	do(t, h.Withdraw(t.Context(), ms[:1])) // alive and well, with idle connections
	do(t, h.Admit(t.Context(), ms[4:]))
	if diff := cmp.Diff(map[string]bool{"b": true, "c": true, "d": true, "new": true}, seen()); diff != "" {
		t.Errorf("who answered (-want +got):\n%s", diff)
	}
}
