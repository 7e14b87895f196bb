package ecs

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// SourceOf reads from a series' labels whom it is about.
//
// The host is the label member, else host, else nodename, else the host in the
// label instance. An instance without one (":9100") or on this machine's loopback
// is on this machine. A series without any of them, such as one that a rule
// recorded of many, has no host. The address is the label instance, and the
// service the label job. A container is known by the labels id, name and image, as
// cAdvisor and Flyball write them; its id is the last part of id, 64 hexadecimal
// digits.
func SourceOf(ls labels.Labels, a Agent) Source {
	instance := ls.Get("instance")
	s := Source{Address: instance, Service: ls.Get("job")}
	for _, name := range []string{"member", "host", "nodename"} {
		if s.Host = ls.Get(name); s.Host != "" {
			break
		}
	}
	if s.Host == "" && instance != "" {
		s.Host = hostOf(instance, a.Host)
	}
	if id := containerID(ls.Get("id")); id != "" {
		s.ContainerID, s.ContainerName, s.ContainerImage = id, ls.Get("name"), ls.Get("image")
	}
	return s
}

// hostOf is the host of an address, host:port or a URL, or own if that is none of
// another machine's.
func hostOf(instance, own string) string {
	host := instance
	if u, err := url.Parse(instance); err == nil && u.Host != "" && strings.Contains(instance, "://") {
		host = u.Hostname()
	} else if h, _, ok := cutPort(instance); ok {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "" || host == "localhost" {
		return own
	}
	if ip, err := netip.ParseAddr(host); err == nil && (ip.Unmap().IsLoopback() || ip.IsUnspecified()) {
		return own
	}
	return host
}

// cutPort cuts host:port in two. An IPv6 address without brackets has no port.
func cutPort(addr string) (host, port string, ok bool) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 || strings.HasSuffix(addr, "]") {
		return addr, "", false
	}
	host, port = addr[:i], addr[i+1:]
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return addr, "", false
	}
	return host, port, true
}

// containerIDLength is that of the ids of Docker, podman and containerd.
const containerIDLength = 64

// containerID finds a container's id in what cAdvisor calls so: the id itself, or
// its path among the control groups, e.g. /docker/ID or /system.slice/docker-ID.scope.
func containerID(id string) string {
	id = id[strings.LastIndexByte(id, '/')+1:]
	id = strings.TrimSuffix(id, ".scope")
	id = id[strings.LastIndexByte(id, '-')+1:]
	if len(id) != containerIDLength || strings.Trim(id, hexDigits) != "" {
		return ""
	}
	return id
}
