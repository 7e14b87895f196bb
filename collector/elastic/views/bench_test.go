package views

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is a script of one host and so many containers as collector/host and
// collector/container tell of them, scraped every 15 seconds for 20 minutes.
func machine(containers int) string {
	var b strings.Builder
	b.WriteString("load 15s\n")
	series := func(name, labels, values string) { fmt.Fprintf(&b, "  %s{%s} %sx80\n", name, labels, values) }
	host := `instance="here",job="flyball/host"`
	for cpu := range 4 {
		for _, mode := range strings.Fields("user nice system idle iowait irq softirq steal") {
			series("node_cpu_seconds_total", fmt.Sprintf(`cpu="%d",mode=%q,%s`, cpu, mode, host), "0+1.5")
		}
	}
	for _, name := range strings.Fields("memory_MemTotal_bytes memory_MemFree_bytes memory_MemAvailable_bytes memory_SwapTotal_bytes memory_SwapFree_bytes vmstat_pswpin vmstat_pswpout load1 load5 load15 boot_time_seconds time_seconds") {
		series("node_"+name, host, "1e9+1024")
	}
	for i := range 3 {
		for _, name := range strings.Fields("size_bytes free_bytes avail_bytes files files_free") {
			series("node_filesystem_"+name, fmt.Sprintf(`device="/dev/vd%d",mountpoint="/m%d",fstype="ext4",%s`, i, i, host), "1e9+4096")
		}
		for _, name := range strings.Fields("reads_completed_total read_bytes_total read_time_seconds_total writes_completed_total written_bytes_total write_time_seconds_total io_time_seconds_total") {
			series("node_disk_"+name, fmt.Sprintf(`device="vd%d",%s`, i, host), "1e6+100")
		}
	}
	for i := range containers + 2 {
		for _, name := range strings.Fields("receive_bytes receive_packets receive_errs receive_drop transmit_bytes transmit_packets transmit_errs transmit_drop") {
			series("node_network_"+name+"_total", fmt.Sprintf(`device="veth%d",%s`, i, host), "1e6+100")
		}
	}
	for i := range containers {
		container(series, i)
	}
	return b.String()
}

func container(series func(name, labels, values string), i int) {
	of := fmt.Sprintf(`instance="local",job="flyball/containers",id="%064x",name="web-%d",image="app:2",pool="web",member="web-%d"`, i, i, i)
	series("container_cpu_usage_seconds_total", `cpu="total",`+of, "0+1.5")
	for _, name := range strings.Fields("cpu_user_seconds_total cpu_system_seconds_total cpu_limit_cores spec_cpu_quota memory_usage_bytes memory_max_usage_bytes memory_rss memory_limit_bytes spec_memory_limit_bytes memory_failcnt") {
		series("container_"+name, of, "1e6+1")
	}
	for _, name := range strings.Fields("receive_bytes receive_packets receive_errors receive_packets_dropped transmit_bytes transmit_packets transmit_errors transmit_packets_dropped") {
		series("container_network_"+name+"_total", `interface="eth0",`+of, "1e6+100")
	}
	for _, device := range []string{"8:0", "8:16"} {
		for _, name := range strings.Fields("reads_bytes_total writes_bytes_total reads_total writes_total") {
			series("container_fs_"+name, fmt.Sprintf("device=%q,%s", device, of), "1e6+100")
		}
	}
}

// BenchmarkAllViews computes all shipped views once, and writes their documents: of
// each such step there is one every 10 seconds, so that 200 ms were 2 % of a core.
func BenchmarkAllViews(b *testing.B) {
	for _, containers := range []int{0, 30, 300} {
		b.Run(fmt.Sprintf("containers=%d", containers), func(b *testing.B) { benchmark(b, machine(containers), 1) })
	}
}

// BenchmarkBacklog computes ten minutes in the stretches that a backlog is made up for by.
func BenchmarkBacklog(b *testing.B) { benchmark(b, machine(30), 60) }

func benchmark(b *testing.B, script string, steps int) {
	vs, ps := Load(Config{Shipped: true})
	if len(ps) > 0 {
		b.Fatal(ps)
	}
	e := loaded(b, script)
	s := &void{}
	r := runner(b, Options{Range: e, State: &memory{}, Deliver: s, Views: vs})
	b.ReportAllocs()
	before := spentByProcess(b)
	for b.Loop() {
		if _, err := r.stretch(b.Context(), stretch{from: at(8 * time.Minute), every: 10 * time.Second, count: steps}); err != nil {
			b.Fatal(err)
		}
	}
	if len(r.broken) > 0 {
		b.Fatal(r.broken)
	}
	b.ReportMetric(float64((spentByProcess(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(s.documents)/float64(b.N), "documents/op")
	b.ReportMetric(float64(s.bytes)/float64(s.documents), "bytes/document")
}

// spentByProcess is the time of processors that the process has had.
func spentByProcess(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
