package source

import (
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// machine is the memory of this machine. Where it is not known there is no answer,
// which is missing data, and not NaN, which would be idleness.
const machine = `on () group_left () max(node_memory_MemTotal_bytes{job="node"})`

// builtin is the expression and unit of a built-in signal; "" if there is none of
// the name.
func (l *loader) builtin(pool, name string) (expr, unit string) {
	of := "{pool=" + strconv.Quote(pool) + "}"
	window := "[" + model.Duration(max(time.Minute, 4*l.known.Interval)).String() + "]"
	read := ofProcess
	switch p := l.known.Pools[pool]; {
	case p.Kind == "container":
		read = p.ofContainer
	case p.elsewhere() && name == "memory":
		return "", ""
	}
	return read(name, of, window), map[string]string{"cpu": "percent", "memory": "percent"}[name]
}

// elsewhere reports whether the members have machines of their own, whose memory is
// not that of this one.
func (p Pool) elsewhere() bool {
	return p.Kind == "digitalocean" || p.Kind == "gce" || p.Kind == "exec"
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

// ofContainer reads what the engine tells of a member's container. An engine that
// is watched twice tells everything twice, hence the maximum.
func (p Pool) ofContainer(name, of, window string) string {
	most := func(what string) string { return "max by (member) (" + what + ")" }
	switch name {
	case "cpu": // of its limit, else of one core
		used := most("rate(container_cpu_usage_seconds_total" + of + window + ")")
		if p.Limited {
			used += " / " + most("container_cpu_limit_cores"+of)
		}
		return used
	case "memory": // of its limit, else of the machine's
		return most("container_memory_working_set_bytes"+of) + " / " + most("container_memory_limit_bytes"+of)
	}
	return ""
}
