package container

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// errEnded says that an engine has no figures of a container since it does not
// run (any more): Docker then tells of the year 1, podman nothing at all.
var errEnded = errors.New("it does not run")

// usage is what a container uses, as an engine tells it at /stats. Counters are
// since the container's start, times in nanoseconds, sizes in bytes. Only the
// cumulative ones are read: what engines call the system's CPU time differs
// between them.
type usage struct {
	Read moment `json:"read"`
	CPU  struct {
		Usage struct {
			Total  number `json:"total_usage"`
			User   number `json:"usage_in_usermode"`
			Kernel number `json:"usage_in_kernelmode"`
		} `json:"cpu_usage"`
		Online     number `json:"online_cpus"`
		Throttling struct {
			Periods   number `json:"periods"`
			Throttled number `json:"throttled_periods"`
			Time      number `json:"throttled_time"`
		} `json:"throttling_data"`
	} `json:"cpu_stats"`
	Memory struct {
		Usage   number            `json:"usage"`
		Highest number            `json:"max_usage"`
		Limit   number            `json:"limit"`
		Fails   number            `json:"failcnt"`
		Of      map[string]number `json:"stats"`
	} `json:"memory_stats"`
	Networks map[string]traffic `json:"networks"`
	Disks    struct {
		Bytes      []diskIO `json:"io_service_bytes_recursive"`
		Operations []diskIO `json:"io_serviced_recursive"`
	} `json:"blkio_stats"`
	Tasks struct {
		Current number `json:"current"`
		Limit   number `json:"limit"`
	} `json:"pids_stats"`
}

// traffic is what went through one interface.
type traffic struct {
	ReceivedBytes   number `json:"rx_bytes"`
	ReceivedPackets number `json:"rx_packets"`
	ReceivedErrors  number `json:"rx_errors"`
	ReceivedDropped number `json:"rx_dropped"`
	SentBytes       number `json:"tx_bytes"`
	SentPackets     number `json:"tx_packets"`
	SentErrors      number `json:"tx_errors"`
	SentDropped     number `json:"tx_dropped"`
}

// diskIO is how much of one kind was done with one device. Devices are known by
// number only, for the engine may be on another machine.
type diskIO struct {
	Major number `json:"major"`
	Minor number `json:"minor"`
	Op    string `json:"op"` // Read, Write and others on cgroup v1; read, write on v2, where podman adds rios and wios
	Value number `json:"value"`
}

// parseUsage reads the answer to /stats.
func parseUsage(b []byte) (usage, error) {
	var u usage
	if len(bytes.TrimSpace(b)) == 0 {
		return u, errEnded
	}
	if err := lenient(b, &u); err != nil {
		return u, fmt.Errorf("read figures of a container: %w", err)
	}
	if u.Read.IsZero() {
		return u, errEnded
	}
	u.forgetEmpty()
	return u, nil
}

// podmanNetwork is what podman 4 calls all interfaces of a container together;
// it counts no packets then.
const podmanNetwork = "network"

// forgetEmpty makes absent what an engine left empty: whatever runs has used
// time and memory, and a scheduler that limits nothing counts no periods.
func (u *usage) forgetEmpty() {
	if u.CPU.Usage.Total = u.CPU.Usage.Total.some(); !u.CPU.Usage.Total.there {
		u.CPU.Usage.User, u.CPU.Usage.Kernel = number{}, number{}
	}
	if t := &u.CPU.Throttling; !t.Periods.some().there {
		t.Periods, t.Throttled, t.Time = number{}, number{}, number{}
	}
	u.CPU.Online = u.CPU.Online.some()
	u.Memory.Usage = u.Memory.Usage.some()
	u.Memory.Limit = u.Memory.Limit.some()
	u.Tasks.Current = u.Tasks.Current.some()
	u.Tasks.Limit = u.Tasks.Limit.some()
	for name, t := range u.Networks {
		packets := t.ReceivedPackets.value + t.SentPackets.value
		if sent := t.ReceivedBytes.value + t.SentBytes.value; packets == 0 && (sent > 0 || name == podmanNetwork) {
			u.Networks[name] = traffic{ReceivedBytes: t.ReceivedBytes, SentBytes: t.SentBytes}
		}
	}
}

// swapTraffic puts right what an engine took for one another.
func (u *usage) swapTraffic() {
	for name, t := range u.Networks {
		u.Networks[name] = traffic{
			ReceivedBytes: t.SentBytes, ReceivedPackets: t.SentPackets, ReceivedErrors: t.SentErrors, ReceivedDropped: t.SentDropped,
			SentBytes: t.ReceivedBytes, SentPackets: t.ReceivedPackets, SentErrors: t.ReceivedErrors, SentDropped: t.ReceivedDropped,
		}
	}
}

// memory is the first there is of the kernel's figures under several names: with
// those below (total_), of this group on cgroup v1, on cgroup v2.
func (u *usage) memory(names ...string) number {
	for _, name := range names {
		if n := u.Memory.Of[name]; n.there {
			return n
		}
	}
	return number{}
}

// workingSet is the memory that the kernel cannot take back at will: without
// files that were not used for a while. It is all that is used if the engine does
// not tell of those.
func (u *usage) workingSet() number {
	if !u.Memory.Usage.there {
		return number{}
	}
	return figure(max(0, u.Memory.Usage.value-u.memory("total_inactive_file", "inactive_file").value))
}

// byDevice adds up the operations of one kind by device, major:minor, sorted.
func byDevice(all []diskIO, op string) ([]string, map[string]float64) {
	sums := map[string]float64{}
	for _, d := range all {
		if strings.EqualFold(d.Op, op) && d.Value.there && d.Major.there && d.Minor.there {
			sums[fmt.Sprintf("%.0f:%.0f", d.Major.value, d.Minor.value)] += d.Value.value
		}
	}
	return slices.Sorted(maps.Keys(sums)), sums
}
