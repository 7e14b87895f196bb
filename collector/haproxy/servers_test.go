package haproxy

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/collector/exporter"
)

// What HAProxy 2.6 says of a backend with a member, a drained one, a free slot,
// and a server that has a Unix socket and no check.
const (
	infoText = "Name: HAProxy\nVersion: 2.6.12\nPid: 1162\nUptime_sec: 40\nStopping: 1\n"

	stateText = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 be 1 web1 10.0.0.7 2 4 1 1 553 15 3 3 6 0 0 0 localhost 8080 - 0 0 - - 0
3 be 2 web2 ::1 2 12 100 1 323 8 2 0 6 0 0 0 localhost 8081 - 0 0 - - 0
3 be 3 web3 127.0.0.1 0 5 1 1 725 1 0 0 14 0 0 0 localhost 1 - 0 0 - - 0
3 be 4 old - 0 0 1 1 725 1 0 0 8 0 0 0 - 0 - 0 0 - - 0
`
	statText = `# pxname,svname,qcur,scur,status,type,check_status,last_chk,
be,web1,2,3,UP,2,* L7OK,HTTP status check returned code <3C>200<3E>,
be,web2,0,1,DRAIN,2,L4CON,Connection refused,
be,web3,0,0,MAINT,2,,,
be,old,0,0,no check,2,,,
`
)

func TestABackendIsReadFromOneWorker(t *testing.T) {
	var asked string
	r := socket(t, func(command string, c net.Conn) {
		asked = command
		_, _ = io.WriteString(c, infoText+"\n"+stateText+"\n"+statText+"\n")
	})
	got, err := r.Backend(t.Context(), "be")
	if err != nil {
		t.Fatal(err)
	}
	if want := "show info;show servers state be;show stat be 4 -1\n"; asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
	want := Backend{Worker: 1162, Uptime: 40 * time.Second, Stopping: true, Servers: []Server{
		{
			Backend: "be", Name: "web1", Addr: netip.MustParseAddrPort("10.0.0.7:8080"), Host: "localhost", State: Running,
			Admin: ConfiguredMaint, Weight: 1, Checked: true, Status: "UP", Sessions: 3, Queued: 2,
			Check: "L7OK HTTP status check returned code <3C>200<3E>",
		},
		{
			Backend: "be", Name: "web2", Addr: netip.MustParseAddrPort("[::1]:8081"), Host: "localhost", State: Running,
			Admin: ConfiguredMaint | ForcedDrain, Weight: 100, Checked: true, Status: "DRAIN", Sessions: 1,
			Check: "L4CON Connection refused",
		},
		{
			Backend: "be", Name: "web3", Addr: netip.MustParseAddrPort("127.0.0.1:1"), Host: "localhost",
			Admin: ConfiguredMaint | ForcedMaint, Weight: 1, Checked: true, Status: "MAINT",
		},
		{Backend: "be", Name: "old", Weight: 1, Status: "no check"},
	}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("backend (-want +got):\n%s", diff)
	}
}

func TestOnlyAServerThatIsUpGetsRequests(t *testing.T) {
	for _, tt := range []struct {
		s                Server
		up, drain, maint bool
	}{
		{Server{State: Running}, true, false, false},
		{Server{State: Starting}, true, false, false},
		{Server{State: Stopping}, false, false, false},
		{Server{State: Stopped}, false, false, false},
		{Server{State: Running, Admin: ConfiguredMaint}, true, false, false},
		{Server{State: Running, Admin: ForcedDrain}, false, true, false},
		{Server{State: Running, Admin: InheritedDrain}, false, true, false},
		{Server{Admin: ForcedMaint | ForcedDrain}, false, false, true},
		{Server{Admin: InheritedMaint}, false, false, true},
		{Server{Admin: UnresolvedMaint}, false, false, true},
	} {
		if tt.s.Up() != tt.up || tt.s.Drain() != tt.drain || tt.s.Maint() != tt.maint {
			t.Errorf("%+v: up %t, drain %t, maint %t", tt.s, tt.s.Up(), tt.s.Drain(), tt.s.Maint())
		}
	}
}

func TestABackendThatCannotBeReadSaysWhy(t *testing.T) {
	for _, tt := range []struct{ name, info, state, stat, reason, want string }{
		{"no such backend", infoText, "Can't find backend.\n", "No such proxy.\n", exporter.Missing, "Can't find backend"},
		{"no permission", infoText, "Permission denied\n", "", exporter.Permission, "level admin"},
		{"another version", infoText, "2\n# a\n", statText, exporter.Protocol, "no state of servers"},
		{"a short row", infoText, strings.Replace(stateText, " - - 0\n", "\n", 1), statText, exporter.Protocol, "row 1"},
		{"a word for a number", infoText, strings.Replace(stateText, "10.0.0.7 2", "10.0.0.7 up", 1), statText, exporter.Protocol, "srv_op_state"},
		{"another set of servers", infoText, stateText, strings.Replace(statText, "web3", "web9", 1), exporter.Protocol, "web3"},
		{"no process", "Name: HAProxy\n", stateText, statText, exporter.Protocol, "Pid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := socket(t, func(_ string, c net.Conn) {
				_, _ = io.WriteString(c, tt.info+"\n"+tt.state+"\n"+tt.stat+"\n")
			})
			_, err := r.Backend(t.Context(), "be")
			if exporter.Reason(err) != tt.reason || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q for the reason %q", err, tt.want, tt.reason)
			}
		})
	}
}

func TestADumpThatBrokeOffIsNoDump(t *testing.T) {
	for _, sent := range []string{stateText[:len(stateText)-1] + "\n", "\n", "1\n\n"} {
		r := socket(t, func(_ string, c net.Conn) { _, _ = io.WriteString(c, sent) })
		if text, err := r.Dump(t.Context()); err == nil {
			t.Errorf("%q was taken for a whole dump", text)
		}
	}
	r := socket(t, func(_ string, c net.Conn) { _, _ = io.WriteString(c, stateText+"\n") })
	if text, err := r.Dump(t.Context()); err != nil || text != stateText {
		t.Errorf("got %q, %v", text, err)
	}
}

func FuzzServers(f *testing.F) {
	f.Add(infoText, stateText, statText)
	f.Add("Pid: x\n", "1\n# be_name srv_name\n", "# pxname,svname,type,status\n")
	f.Fuzz(func(t *testing.T, info, state, stat string) {
		b, err := newBackend([]string{info, state, stat})
		if err != nil {
			return
		}
		for _, s := range b.Servers {
			if s.Name == "" || s.Backend == "" || s.Maint() && s.Up() {
				t.Errorf("a server makes no sense: %+v", s)
			}
		}
	})
}
