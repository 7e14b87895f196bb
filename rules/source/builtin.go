package source

import (
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// machine is the memory of the machine, as one value.
const machine = "scalar(max(node_memory_MemTotal_bytes))"

// builtin is the expression and unit of a built-in signal; "" if there is none of
// the name.
func (l *loader) builtin(pool, name string) (expr, unit string) {
	of := "{pool=" + strconv.Quote(pool) + "}"
	window := "[" + model.Duration(max(time.Minute, 4*l.known.Interval)).String() + "]"
	read := ofProcess
	if l.known.Pools[pool].Kind == "container" {
		read = l.known.Pools[pool].ofContainer
	}
	return read(name, of, window), map[string]string{"cpu": "percent", "memory": "percent"}[name]
}

// ofProcess reads what Prometheus' client libraries export about a process.
func ofProcess(name, of, window string) string {
	switch name {
	case "cpu": // of one core
		return "rate(process_cpu_seconds_total" + of + window + ")"
	case "memory": // of the machine's
		return "process_resident_memory_bytes" + of + " / " + machine
	}
	return ""
}

// ofContainer reads what the engine tells of a container.
func (p Pool) ofContainer(name, of, window string) string {
	switch name {
	case "cpu": // of its limit, else of one core
		used := "sum by (member) (rate(container_cpu_usage_seconds_total" + of + window + "))"
		if p.CPUs > 0 {
			used += " / " + strconv.FormatFloat(p.CPUs, 'g', -1, 64)
		}
		return used
	case "memory": // of its limit, else of the machine's
		limit := machine
		if p.Memory > 0 {
			limit = strconv.FormatInt(p.Memory, 10)
		}
		return "sum by (member) (container_memory_working_set_bytes" + of + ") / " + limit
	}
	return ""
}
