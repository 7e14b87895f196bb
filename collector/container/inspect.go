package container

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The states of a container; the list is closed.
const (
	Created    = "created"
	Running    = "running"
	Paused     = "paused"
	Restarting = "restarting"
	Removing   = "removing"
	Exited     = "exited"
	Dead       = "dead"
	unknown    = "unknown"
)

// What a container's own check says of it; "" if it has none.
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
	Starting  = "starting"
)

// A Container is what an engine says of one, but for what it uses.
type Container struct {
	ID          string
	Name        string
	Image       string
	Labels      map[string]string
	State       string
	Health      string
	ExitCode    int // of its last end; 0 while it has none
	OOMKilled   bool
	Restarts    int       // by its restart policy
	Started     time.Time // zero: never
	Finished    time.Time // zero: never
	NetworkMode string
	Networks    []Network          // sorted by name
	published   map[string]address // by port and protocol, e.g. 80/tcp
	limits      limits
}

// A Network is one that a container is in. IP is "" if it has no address of its own.
type Network struct{ Name, ID, IP string }

// An address is where a port of a container is published.
type address struct{ host, port string }

// limits is what a container may have; absent: as much as there is.
type limits struct {
	cpuQuota, cpuPeriod number // microseconds
	cpuShares           number
	cpus                number // how many it is pinned to
	memory, swap, soft  number // bytes; swap includes memory
	tasks               number
}

// Runs reports whether it has processes.
func (c *Container) Runs() bool { return c.State == Running || c.State == Paused }

// inspected is an engine's answer to /containers/<id>/json.
type inspected struct {
	ID           string `json:"Id"`
	Name         string
	RestartCount number
	State        struct {
		Status     string
		OOMKilled  bool
		ExitCode   number
		StartedAt  moment
		FinishedAt moment
		Health     struct{ Status string }
	}
	Config struct {
		Image  string
		Labels map[string]string
	}
	HostConfig struct {
		NetworkMode       string
		NanoCPUs          number `json:"NanoCpus"`
		CPUQuota          number `json:"CpuQuota"`
		CPUPeriod         number `json:"CpuPeriod"`
		CPUShares         number `json:"CpuShares"`
		CPUSet            string `json:"CpusetCpus"`
		Memory            number
		MemorySwap        number
		MemoryReservation number
		PidsLimit         number
	}
	NetworkSettings struct {
		Networks map[string]struct{ NetworkID, IPAddress, GlobalIPv6Address string }
		Ports    map[string][]struct{ HostIP, HostPort string }
	}
}

// parseInspect reads the answer to /containers/<id>/json.
func parseInspect(b []byte) (Container, error) {
	var in inspected
	if err := lenient(b, &in); err != nil {
		return Container{}, fmt.Errorf("read what the engine says of a container: %w", err)
	}
	if in.ID == "" {
		return Container{}, errors.New("read what the engine says of a container: it has no Id")
	}
	c := Container{
		ID: in.ID, Name: strings.TrimPrefix(in.Name, "/"), Image: in.Config.Image, Labels: in.Config.Labels,
		State: state(in.State.Status), Health: health(in.State.Health.Status),
		ExitCode: int(in.State.ExitCode.value), OOMKilled: in.State.OOMKilled, Restarts: int(in.RestartCount.value),
		Started: in.State.StartedAt.Time, Finished: in.State.FinishedAt.Time,
		NetworkMode: in.HostConfig.NetworkMode, limits: in.limits(),
	}
	for _, name := range slices.Sorted(maps.Keys(in.NetworkSettings.Networks)) {
		n := in.NetworkSettings.Networks[name]
		ip := n.IPAddress
		if ip == "" {
			ip = n.GlobalIPv6Address
		}
		c.Networks = append(c.Networks, Network{Name: name, ID: n.NetworkID, IP: ip})
	}
	c.published = map[string]address{}
	for port, at := range in.NetworkSettings.Ports {
		if len(at) > 0 && at[0].HostPort != "" {
			c.published[port] = address{at[0].HostIP, at[0].HostPort}
		}
	}
	return c, nil
}

// usualPeriod is the scheduler's period if a container has no other, in microseconds.
const usualPeriod = 100_000

func (in *inspected) limits() limits {
	h := in.HostConfig
	l := limits{
		cpuQuota: h.CPUQuota.some(), cpuPeriod: h.CPUPeriod.some().or(figure(usualPeriod)), cpuShares: h.CPUShares.some(),
		cpus: countCPUs(h.CPUSet), memory: h.Memory.some(), swap: h.MemorySwap.some(), soft: h.MemoryReservation.some(),
		tasks: h.PidsLimit.some(),
	}
	if n := h.NanoCPUs.some(); n.there && !l.cpuQuota.there { // Docker tells of --cpus so, podman in both ways
		l.cpuQuota = figure(n.seconds().value * l.cpuPeriod.value)
	}
	return l
}

// mostCPUs is more than the kernel knows of.
const mostCPUs = 1 << 16

// countCPUs counts a list of CPUs such as 0-3,7; absent if there is none, or it
// is no such list.
func countCPUs(list string) number {
	count := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, ok := strings.Cut(strings.TrimSpace(part), "-")
		if !ok {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || first < 0 || last < first || last >= mostCPUs {
			return number{}
		}
		count += last - first + 1
	}
	return figure(float64(count)).some()
}

// state keeps the list of states closed: it is a label.
func state(s string) string {
	switch s {
	case Created, Running, Paused, Restarting, Removing, Exited, Dead:
		return s
	case "configured", "initialized": // podman's, before the first start
		return Created
	case "stopping": // podman's, until the last process has gone
		return Running
	case "stopped": // podman's, until it is cleaned up
		return Exited
	}
	return unknown
}

func health(s string) string {
	switch s {
	case Healthy, Unhealthy, Starting:
		return s
	}
	return ""
}
