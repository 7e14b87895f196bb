package container

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
)

// The labels by which a container asks to be scraped, and by which one is known
// as a member of a pool.
const (
	LabelPort   = "flyball.port"   // where it serves its metrics; without it, it is no target
	LabelPath   = "flyball.path"   // default: the job's, usually /metrics
	LabelJob    = "flyball.job"    // default: the job's
	LabelPool   = "flyball.pool"   // the pool that it is a member of
	LabelMember = "flyball.member" // its name there
)

// A Target is a container that serves metrics of its own.
type Target struct {
	Addr   string            // host:port
	Labels map[string]string // meta labels as Prometheus' docker_sd has them; __metrics_path__ and job if the container names them
}

// Targets are the containers that run and carry [LabelPort], each at its address
// in the first of its networks by name. With the network of the host, or without
// an address of its own but a published port, it is at the engine's host. Members
// of pools are left out: they are scraped as such.
func (w *Watch) Targets() []Target {
	var out []Target
	for _, c := range w.Containers() {
		if _, member := c.Labels[LabelPool]; member || c.State != Running || !isPort(c.Labels[LabelPort]) {
			continue
		}
		if t, ok := w.target(c); ok {
			out = append(out, t)
		}
	}
	return out
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (w *Watch) target(c Container) (Target, bool) {
	port := c.Labels[LabelPort]
	mode, networks := w.networks(c)
	t := Target{Labels: map[string]string{
		"__meta_docker_container_id":           c.ID,
		"__meta_docker_container_name":         "/" + c.Name,
		"__meta_docker_container_network_mode": c.NetworkMode,
		"__meta_docker_port_private":           port,
	}}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		t.Labels["__meta_docker_container_label_"+sanitise(name)] = c.Labels[name]
	}
	if path := c.Labels[LabelPath]; path != "" {
		t.Labels["__metrics_path__"] = path
	}
	if job := c.Labels[LabelJob]; job != "" {
		t.Labels["job"] = job
	}
	if len(networks) > 0 {
		t.Labels["__meta_docker_network_id"] = networks[0].ID
		t.Labels["__meta_docker_network_name"] = networks[0].Name
		t.Labels["__meta_docker_network_ip"] = networks[0].IP
	}
	switch {
	case mode == "host":
		t.Addr = net.JoinHostPort(w.host(), port)
	case len(networks) > 0:
		t.Addr = net.JoinHostPort(networks[0].IP, port)
	case c.published[port+"/tcp"] != address{}:
		at := c.published[port+"/tcp"]
		if ip := net.ParseIP(at.host); ip == nil || ip.IsUnspecified() {
			at.host = w.host()
		}
		t.Addr = net.JoinHostPort(at.host, at.port)
	default:
		return Target{}, false
	}
	return t, true
}

// mostShared is how many containers may share a network through one another.
const mostShared = 8

// networks are those that a container has an address in, and their mode. One that
// uses the network of another has that one's.
func (w *Watch) networks(c Container) (mode string, with []Network) {
	for range mostShared {
		of, shared := strings.CutPrefix(c.NetworkMode, "container:")
		if !shared {
			break
		}
		next, ok := w.set.get(of)
		if !ok {
			break
		}
		c = next
	}
	for _, n := range c.Networks {
		if n.IP != "" {
			with = append(with, n)
		}
	}
	return c.NetworkMode, with
}

// host is where the engine is.
func (w *Watch) host() string {
	if network, address, err := splitSocket(w.config.Socket); err == nil && network == "tcp" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			return host
		}
	}
	return "localhost"
}
