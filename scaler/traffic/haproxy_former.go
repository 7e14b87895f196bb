package traffic

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flyball/collector/haproxy"
)

// finishTime is how long after a start of HAProxy an earlier process of it is
// taken to finish requests, where it cannot be seen whether there is one.
const finishTime = 5 * time.Minute

// finishing reports whether an earlier process of HAProxy may still have requests.
// On this machine the workers of one master are seen; of a HAProxy elsewhere, or
// in a container, only its age is known.
func (h *HAProxy) finishing(b haproxy.Backend) bool {
	worker, alive := readProcess(b.Worker)
	if !alive && h.near {
		return true // it ended since it was asked
	}
	master, ok := readProcess(worker.parent)
	if !alive || !ok || worker.name != master.name {
		return b.Uptime < finishTime
	}
	h.near = true
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if p, ok := readProcess(pid); ok && pid != b.Worker && p == worker {
			return true
		}
	}
	return false
}

// process is what /proc says of one that has not ended.
type process struct {
	name   string
	parent int
}

// readProcess reads /proc/pid/stat: pid (name) state parent and so on.
func readProcess(pid int) (process, bool) {
	if pid <= 0 {
		return process{}, false
	}
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	_, rest, _ := strings.Cut(string(raw), "(")
	end := strings.LastIndexByte(rest, ')')
	if end < 0 {
		return process{}, false
	}
	fields := strings.Fields(rest[end+1:])
	if len(fields) < 2 || fields[0] == "Z" {
		return process{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	return process{name: rest[:end], parent: parent}, err == nil
}
