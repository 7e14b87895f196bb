package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

func fixture(t *testing.T, proc string) *Collector {
	t.Helper()
	c, err := New(Options{Proc: proc, Sys: "testdata/sys"})
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return time.Unix(1795170000, 500e6) }
	c.statfs = func(path string, s *unix.Statfs_t) error {
		if path == "/mnt/dead" {
			return errors.New("input/output error")
		}
		*s = unix.Statfs_t{Bsize: 4096, Blocks: 100, Bfree: 50, Bavail: 40, Files: 1000, Ffree: 900}
		return nil
	}
	return c
}

// scrape reads all numbers, by name and labels.
func scrape(t *testing.T, c *Collector) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var ls []string
			for _, l := range m.GetLabel() {
				ls = append(ls, l.GetName()+"="+l.GetValue())
			}
			key := f.GetName() + "{" + strings.Join(ls, ",") + "}"
			out[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return out
}

func TestNamesAndUnitsAreThoseOfNodeExporter(t *testing.T) {
	got := scrape(t, fixture(t, "testdata/proc"))
	for name, want := range map[string]float64{
		"node_cpu_seconds_total{cpu=0,mode=user}":       10,
		"node_cpu_seconds_total{cpu=1,mode=idle}":       450,
		"node_cpu_seconds_total{cpu=1,mode=steal}":      0.2,
		"node_cpu_guest_seconds_total{cpu=0,mode=nice}": 0.3,
		"node_context_switches_total{}":                 654321,
		"node_intr_total{}":                             123456,
		"node_forks_total{}":                            4321,
		"node_procs_running{}":                          3,
		"node_boot_time_seconds{}":                      1795168800,
		"node_time_seconds{}":                           1795170000.5,
		"node_load1{}":                                  0.5,
		"node_load15{}":                                 0.1,
		"node_memory_MemTotal_bytes{}":                  2048000 * 1024,
		"node_memory_Active_anon_bytes{}":               20480 * 1024,
		"node_memory_SwapTotal_bytes{}":                 0,
		"node_vmstat_pgmajfault{}":                      40,
		"node_vmstat_oom_kill{}":                        2,
		"node_filefd_allocated{}":                       1024,
		"node_filefd_maximum{}":                         9223372036854775807,
		"node_filesystem_size_bytes{device=/dev/vda1,fstype=ext4,mountpoint=/}":          409600,
		"node_filesystem_avail_bytes{device=/dev/vda1,fstype=ext4,mountpoint=/}":         163840,
		"node_filesystem_files_free{device=/dev/vda1,fstype=ext4,mountpoint=/}":          900,
		"node_filesystem_readonly{device=/dev/vda1,fstype=ext4,mountpoint=/}":            0,
		"node_filesystem_readonly{device=/dev/vdb,fstype=xfs,mountpoint=/mnt/ro}":        1,
		"node_filesystem_device_error{device=/dev/vdc,fstype=ext4,mountpoint=/mnt/dead}": 1,
		"node_filesystem_device_error{device=/dev/vda1,fstype=ext4,mountpoint=/}":        0,
		"node_disk_read_bytes_total{device=vda}":                                         2000 * 512,
		"node_disk_write_time_seconds_total{device=vda}":                                 0.6,
		"node_disk_io_now{device=vda}":                                                   1,
		"node_disk_discarded_sectors_total{device=vda}":                                  7,
		"node_disk_flush_requests_total{device=vda}":                                     9,
		"node_network_receive_bytes_total{device=eth0}":                                  1000,
		"node_network_receive_drop_total{device=eth0}":                                   2,
		"node_network_transmit_colls_total{device=eth0}":                                 6,
		"node_pressure_cpu_waiting_seconds_total{}":                                      1.5,
		"node_pressure_io_stalled_seconds_total{}":                                       0.5,
		"node_scrape_collector_success{collector=stat}":                                  1,
		"node_scrape_collector_success{collector=pressure}":                              0, // the fixture's kernel tells none of memory
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
		}
	}
	for name := range got {
		for _, out := range []string{"device=loop0", "device=vda1", "fstype=nfs4", "mountpoint=/proc", "nr_free_pages"} {
			if strings.Contains(name, out) {
				t.Errorf("%s is told, and should be left out", name)
			}
		}
	}
}

func TestAMissingFileCostsOnlyItself(t *testing.T) {
	files := map[string]string{
		"stat": "stat", "loadavg": "loadavg", "meminfo": "meminfo", "vmstat": "vmstat", "filefd": "sys/fs/file-nr",
		"filesystem": "self/mountinfo", "diskstats": "diskstats", "netdev": "net/dev",
	}
	for part, file := range files {
		t.Run(part, func(t *testing.T) {
			proc := t.TempDir()
			if err := os.CopyFS(proc, os.DirFS("testdata/proc")); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(proc, file)); err != nil {
				t.Fatal(err)
			}
			got := scrape(t, fixture(t, proc))
			want := map[string]float64{}
			for p := range files {
				want[p] = truth(p != part)
			}
			ok := map[string]float64{}
			for p := range files {
				ok[p] = got["node_scrape_collector_success{collector="+p+"}"]
			}
			if d := cmp.Diff(want, ok); d != "" {
				t.Errorf("what could be read (-want +got):\n%s", d)
			}
		})
	}
}

func TestACounterThatFallsALittleStandsStill(t *testing.T) {
	c := fixture(t, "testdata/proc")
	k := cpuMode{"0", "idle"}
	for _, step := range []struct{ read, want float64 }{{100, 100}, {98, 100}, {101, 101}, {5, 5}, {6, 6}} {
		if got := c.steady(k, step.read); got != step.want {
			t.Errorf("read %v: told %v, want %v", step.read, got, step.want)
		}
	}
}

func TestThisMachineCanBeRead(t *testing.T) {
	c, err := New(Options{})
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	got := scrape(t, c)
	if got["node_memory_MemTotal_bytes{}"] <= 0 || got["node_boot_time_seconds{}"] <= 0 {
		t.Errorf("memory %v, boot time %v", got["node_memory_MemTotal_bytes{}"], got["node_boot_time_seconds{}"])
	}
	var uname bool
	for name := range got {
		uname = uname || strings.HasPrefix(name, "node_uname_info{")
	}
	if !uname {
		t.Error("no node_uname_info")
	}
}

func TestNoProcIsAnError(t *testing.T) {
	if _, err := New(Options{Proc: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("no error")
	}
}

func FuzzVMStat(f *testing.F) {
	f.Add("pgfault 30\noom_kill 0\n")
	f.Add("pgfault\n")
	f.Add(" 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		numbers, err := parseVMStat(strings.NewReader(text))
		if err == nil && len(numbers) > strings.Count(text, "\n")+1 {
			t.Errorf("%d numbers of %q", len(numbers), text)
		}
		if _, ok := numbers[""]; ok {
			t.Errorf("a number without a name of %q", text)
		}
	})
}
