package host

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"flyball/collector/exporter"
)

// jumpback is how many seconds a processor's counter may fall without having
// been reset: Linux corrects idle and iowait now and then.
const jumpback = 3

// cpuMode is one counter of one processor.
type cpuMode struct{ cpu, mode string }

// stat reads processors, interrupts and processes.
func (c *Collector) stat(give emit) error {
	s, err := c.fs.Stat()
	if err != nil {
		return fmt.Errorf("read stat: %w", err)
	}
	seconds := exporter.Counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", "cpu", "mode")
	guest := exporter.Counter("node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.", "cpu", "mode")
	for id, t := range s.CPU {
		cpu := strconv.FormatInt(id, 10)
		for _, m := range modes(t) {
			give(seconds, c.steady(cpuMode{cpu, m.name}, m.seconds), cpu, m.name)
		}
		give(guest, t.Guest, cpu, "user")
		give(guest, t.GuestNice, cpu, "nice")
	}
	give(exporter.Counter("node_intr_total", "Total number of interrupts serviced."), float64(s.IRQTotal))
	give(exporter.Counter("node_context_switches_total", "Total number of context switches."), float64(s.ContextSwitches))
	give(exporter.Counter("node_forks_total", "Total number of forks."), float64(s.ProcessCreated))
	give(exporter.Gauge("node_boot_time_seconds", "Node boot time, in unixtime."), float64(s.BootTime))
	give(exporter.Gauge("node_procs_running", "Number of processes in runnable state."), float64(s.ProcessesRunning))
	give(exporter.Gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete."), float64(s.ProcessesBlocked))
	return nil
}

type mode struct {
	name    string
	seconds float64
}

func modes(t procfs.CPUStat) []mode {
	return []mode{
		{"user", t.User},
		{"nice", t.Nice},
		{"system", t.System},
		{"idle", t.Idle},
		{"iowait", t.Iowait},
		{"irq", t.IRQ},
		{"softirq", t.SoftIRQ},
		{"steal", t.Steal},
	}
}

// steady keeps a counter from falling a little, which would look like a reset
// and give a rate of the whole uptime.
func (c *Collector) steady(k cpuMode, v float64) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if high := c.highest[k]; v < high && high-v < jumpback {
		return high
	}
	c.highest[k] = v
	return v
}

func (c *Collector) load(give emit) error {
	l, err := c.fs.LoadAvg()
	if err != nil {
		return fmt.Errorf("read load average: %w", err)
	}
	give(exporter.Gauge("node_load1", "1m load average."), l.Load1)
	give(exporter.Gauge("node_load5", "5m load average."), l.Load5)
	give(exporter.Gauge("node_load15", "15m load average."), l.Load15)
	return nil
}

// pressure reads how long tasks waited for want of something. A kernel may lack
// all of it, or the memory and io of it.
func (c *Collector) pressure(give emit) error {
	var errs []error
	for _, p := range []struct{ resource, waiting, stalled string }{
		{"cpu", "node_pressure_cpu_waiting_seconds_total", ""},
		{"io", "node_pressure_io_waiting_seconds_total", "node_pressure_io_stalled_seconds_total"},
		{"memory", "node_pressure_memory_waiting_seconds_total", "node_pressure_memory_stalled_seconds_total"},
	} {
		s, err := c.fs.PSIStatsForResource(p.resource)
		if err != nil {
			errs = append(errs, fmt.Errorf("read pressure of %s: %w", p.resource, err))
			continue
		}
		if s.Some != nil {
			give(exporter.Counter(p.waiting, "Total time in seconds that processes have waited for "+p.resource+"."), micro(s.Some.Total))
		}
		if s.Full != nil && p.stalled != "" {
			give(exporter.Counter(p.stalled, "Total time in seconds no process could make progress for want of "+p.resource+"."), micro(s.Full.Total))
		}
	}
	return errors.Join(errs...)
}

func micro(n uint64) float64 { return float64(n) / 1e6 }

func (c *Collector) files(give emit) error {
	n, err := c.fs.SysctlInts("fs.file-nr")
	if err != nil {
		return fmt.Errorf("read open files: %w", err)
	}
	if len(n) != 3 {
		return fmt.Errorf("read open files: %d numbers in file-nr, want 3", len(n))
	}
	give(exporter.Gauge("node_filefd_allocated", "File descriptor statistics: allocated."), float64(n[0]))
	give(exporter.Gauge("node_filefd_maximum", "File descriptor statistics: maximum."), float64(n[2]))
	return nil
}

func (c *Collector) uname(give emit) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("read uname: %w", err)
	}
	text := unix.ByteSliceToString
	give(exporter.Gauge("node_uname_info", "Labeled system information as provided by the uname system call.",
		"sysname", "release", "version", "machine", "nodename", "domainname"), 1,
		text(u.Sysname[:]), text(u.Release[:]), text(u.Version[:]), text(u.Machine[:]), text(u.Nodename[:]), text(u.Domainname[:]))
	return nil
}

func (c *Collector) time(give emit) error {
	give(exporter.Gauge("node_time_seconds", "System time in seconds since epoch (1970)."), float64(c.now().UnixNano())/1e9)
	return nil
}
