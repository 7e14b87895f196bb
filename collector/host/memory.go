package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"flyball/collector/exporter"
)

// memory reads what /proc/meminfo has. Which lines there are depends on the kernel.
func (c *Collector) memory(give emit) error {
	m, err := c.fs.Meminfo()
	if err != nil {
		return fmt.Errorf("read memory: %w", err)
	}
	for _, f := range []struct {
		name  string
		bytes *uint64
	}{
		{"MemTotal", m.MemTotalBytes},
		{"MemFree", m.MemFreeBytes},
		{"MemAvailable", m.MemAvailableBytes},
		{"Buffers", m.BuffersBytes},
		{"Cached", m.CachedBytes},
		{"SwapCached", m.SwapCachedBytes},
		{"Active", m.ActiveBytes},
		{"Inactive", m.InactiveBytes},
		{"Active_anon", m.ActiveAnonBytes},
		{"Inactive_anon", m.InactiveAnonBytes},
		{"Active_file", m.ActiveFileBytes},
		{"Inactive_file", m.InactiveFileBytes},
		{"Unevictable", m.UnevictableBytes},
		{"Mlocked", m.MlockedBytes},
		{"SwapTotal", m.SwapTotalBytes},
		{"SwapFree", m.SwapFreeBytes},
		{"Dirty", m.DirtyBytes},
		{"Writeback", m.WritebackBytes},
		{"AnonPages", m.AnonPagesBytes},
		{"Mapped", m.MappedBytes},
		{"Shmem", m.ShmemBytes},
		{"Slab", m.SlabBytes},
		{"SReclaimable", m.SReclaimableBytes},
		{"SUnreclaim", m.SUnreclaimBytes},
		{"KernelStack", m.KernelStackBytes},
		{"PageTables", m.PageTablesBytes},
		{"CommitLimit", m.CommitLimitBytes},
		{"Committed_AS", m.CommittedASBytes},
		{"Hugepagesize", m.HugepagesizeBytes},
	} {
		if f.bytes != nil {
			give(exporter.Gauge("node_memory_"+f.name+"_bytes", "Memory information field "+f.name+"_bytes."), float64(*f.bytes))
		}
	}
	return nil
}

// vmstat reads the few of /proc/vmstat's many numbers that node_exporter does.
func (c *Collector) vmstat(give emit) error {
	f, err := os.Open(filepath.Join(c.proc, "vmstat"))
	if err != nil {
		return fmt.Errorf("read vmstat: %w", err)
	}
	defer f.Close()
	numbers, err := parseVMStat(f)
	if err != nil {
		return fmt.Errorf("read vmstat: %w", err)
	}
	for name, v := range numbers {
		switch name {
		case "oom_kill", "pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault":
			give(exporter.Untyped("node_vmstat_"+name, "/proc/vmstat information field "+name+"."), v)
		}
	}
	return nil
}

var errVMStat = errors.New("a line is not a name and a number")

// parseVMStat reads lines of a name and a number.
func parseVMStat(r io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		name, number, ok := strings.Cut(s.Text(), " ")
		v, err := strconv.ParseFloat(number, 64)
		if !ok || name == "" || err != nil {
			return nil, fmt.Errorf("%w: %q", errVMStat, s.Text())
		}
		out[name] = v
	}
	return out, s.Err()
}
