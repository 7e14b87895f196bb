package host

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
	"golang.org/x/sys/unix"

	"flyball/collector/exporter"
)

// What node_exporter leaves out, and file systems over a network besides: asking
// one whose server is gone blocks for ever.
var (
	noDisk       = regexp.MustCompile(`^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`)
	noMountPoint = regexp.MustCompile(`^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`)
	noFileSystem = regexp.MustCompile(`^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|erofs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs|nfs4?|cifs|smb3|9p|ceph|glusterfs|lustre|fuse(\..+)?)$`)
)

// sector is what the kernel counts disk traffic in, whatever the disk's own are.
const sector = 512

// fsLabels tell one mounted file system from another.
var fsLabels = []string{"device", "mountpoint", "fstype"}

func (c *Collector) filesystems(give emit) error {
	mounts, err := c.fs.GetMounts()
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	seen := map[[3]string]bool{}
	for _, m := range mounts {
		key := [3]string{m.Source, m.MountPoint, m.FSType}
		if seen[key] || noFileSystem.MatchString(m.FSType) || noMountPoint.MatchString(m.MountPoint) {
			continue
		}
		seen[key] = true
		c.filesystem(give, m, key[:])
	}
	return nil
}

// filesystem asks one file system. One that does not answer is told by
// node_filesystem_device_error, and costs the others nothing.
func (c *Collector) filesystem(give emit, m *procfs.MountInfo, values []string) {
	fs := func(name, help string) exporter.Metric {
		return exporter.Gauge("node_filesystem_"+name, help, fsLabels...)
	}
	_, readOnly := m.Options["ro"]
	_, superReadOnly := m.SuperOptions["ro"]
	give(fs("readonly", "Filesystem read-only status."), truth(readOnly || superReadOnly), values...)
	var s unix.Statfs_t
	err := c.statfs(m.MountPoint, &s)
	give(fs("device_error", "Whether an error occurred while getting statistics for the given device."), truth(err != nil), values...)
	if err != nil {
		c.logger.Debug("file system cannot be read", "mountpoint", m.MountPoint, "err", err)
		return
	}
	block := float64(s.Bsize)
	give(fs("size_bytes", "Filesystem size in bytes."), float64(s.Blocks)*block, values...)
	give(fs("free_bytes", "Filesystem free space in bytes."), float64(s.Bfree)*block, values...)
	give(fs("avail_bytes", "Filesystem space available to non-root users in bytes."), float64(s.Bavail)*block, values...)
	give(fs("files", "Filesystem total file nodes."), float64(s.Files), values...)
	give(fs("files_free", "Filesystem total free file nodes."), float64(s.Ffree), values...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *Collector) diskstats(give emit) error {
	disks, err := c.disks.ProcDiskstats()
	if err != nil {
		return fmt.Errorf("read disks: %w", err)
	}
	for _, d := range disks {
		if noDisk.MatchString(d.DeviceName) {
			continue
		}
		for _, f := range diskFields(d) {
			name := "node_disk_" + f.name
			m := exporter.Counter(name, f.help, "device")
			if !strings.HasSuffix(name, "_total") {
				m = exporter.Gauge(name, f.help, "device")
			}
			give(m, f.value, d.DeviceName)
		}
	}
	return nil
}

type field struct {
	name, help string
	value      float64
}

// diskFields are a disk's numbers. Discards and flushes came with later kernels.
func diskFields(d blockdevice.Diskstats) []field {
	milli := func(n uint64) float64 { return float64(n) / 1e3 }
	fs := []field{
		{"reads_completed_total", "The total number of reads completed successfully.", float64(d.ReadIOs)},
		{"reads_merged_total", "The total number of reads merged.", float64(d.ReadMerges)},
		{"read_bytes_total", "The total number of bytes read successfully.", float64(d.ReadSectors) * sector},
		{"read_time_seconds_total", "The total number of seconds spent by all reads.", milli(d.ReadTicks)},
		{"writes_completed_total", "The total number of writes completed successfully.", float64(d.WriteIOs)},
		{"writes_merged_total", "The number of writes merged.", float64(d.WriteMerges)},
		{"written_bytes_total", "The total number of bytes written successfully.", float64(d.WriteSectors) * sector},
		{"write_time_seconds_total", "This is the total number of seconds spent by all writes.", milli(d.WriteTicks)},
		{"io_now", "The number of I/Os currently in progress.", float64(d.IOsInProgress)},
		{"io_time_seconds_total", "Total seconds spent doing I/Os.", milli(d.IOsTotalTicks)},
		{"io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", milli(d.WeightedIOTicks)},
	}
	if d.IoStatsCount >= 18 {
		fs = append(fs,
			field{"discards_completed_total", "The total number of discards completed successfully.", float64(d.DiscardIOs)},
			field{"discards_merged_total", "The total number of discards merged.", float64(d.DiscardMerges)},
			field{"discarded_sectors_total", "The total number of sectors discarded successfully.", float64(d.DiscardSectors)},
			field{"discard_time_seconds_total", "This is the total number of seconds spent by all discards.", milli(d.DiscardTicks)})
	}
	if d.IoStatsCount >= 20 {
		fs = append(fs,
			field{"flush_requests_total", "The total number of flush requests completed successfully.", float64(d.FlushRequestsCompleted)},
			field{"flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests.", milli(d.TimeSpentFlushing)})
	}
	return fs
}

func (c *Collector) network(give emit) error {
	devices, err := c.fs.NetDev()
	if err != nil {
		return fmt.Errorf("read network devices: %w", err)
	}
	for name, d := range devices {
		for _, f := range []struct {
			field string
			value uint64
		}{
			{"receive_bytes", d.RxBytes},
			{"receive_packets", d.RxPackets},
			{"receive_errs", d.RxErrors},
			{"receive_drop", d.RxDropped},
			{"receive_fifo", d.RxFIFO},
			{"receive_frame", d.RxFrame},
			{"receive_compressed", d.RxCompressed},
			{"receive_multicast", d.RxMulticast},
			{"transmit_bytes", d.TxBytes},
			{"transmit_packets", d.TxPackets},
			{"transmit_errs", d.TxErrors},
			{"transmit_drop", d.TxDropped},
			{"transmit_fifo", d.TxFIFO},
			{"transmit_colls", d.TxCollisions},
			{"transmit_carrier", d.TxCarrier},
			{"transmit_compressed", d.TxCompressed},
		} {
			give(exporter.Counter("node_network_"+f.field+"_total", "Network device statistic "+f.field+".", "device"), float64(f.value), name)
		}
	}
	return nil
}
