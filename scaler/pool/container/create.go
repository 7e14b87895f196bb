package container

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// options is all that the engine is told of one member. It is never restarted by
// the engine: Flyball replaces it.
func (p *Pool) options(name string) (client.ContainerCreateOptions, error) {
	owner, err := p.mark()
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	port, ok := network.PortFrom(uint16(p.cfg.Port), network.TCP)
	if !ok {
		return client.ContainerCreateOptions{}, fmt.Errorf("%d is no port", p.cfg.Port)
	}
	labels := maps.Clone(p.cfg.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelPool], labels[labelMember], labels[labelOwner] = p.name, name, owner
	labels[labelPort] = strconv.Itoa(p.cfg.Port)
	fill := strings.NewReplacer("{name}", name, "{port}", strconv.Itoa(p.cfg.Port))
	o := client.ContainerCreateOptions{
		Name: name,
		Config: &container.Config{
			Image: p.cfg.Image, Labels: labels, User: p.cfg.User, Env: p.cfg.environment(p.name, name, fill),
		},
		HostConfig: p.cfg.host(),
	}
	for _, arg := range p.cfg.Command {
		o.Config.Cmd = append(o.Config.Cmd, fill.Replace(arg))
	}
	if p.cfg.LogDriver == "" && len(p.cfg.LogOpts) == 0 {
		o.HostConfig.LogConfig = p.boundedLog()
	}
	if p.cfg.Publish {
		o.Config.ExposedPorts = network.PortSet{port: {}}
		o.HostConfig.PortBindings = network.PortMap{port: {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}}}
	}
	return o, nil
}

// environment is a member's, with who it is.
func (c Config) environment(pool, name string, fill *strings.Replacer) []string {
	env := []string{"FLYBALL_POOL=" + pool, "FLYBALL_MEMBER=" + name}
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		v := fill.Replace(c.Env[k])
		if v == "" {
			v = os.Getenv(k)
		}
		env = append(env, k+"="+v)
	}
	return env
}

// host is what members may use of the machine.
func (c Config) host() *container.HostConfig {
	pids := int64(c.Pids)
	h := &container.HostConfig{
		Binds: c.Volumes, NetworkMode: container.NetworkMode(c.Network),
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		ReadonlyRootfs: c.ReadOnly, CapDrop: slices.Clone(c.CapDrop), CapAdd: slices.Clone(c.CapAdd),
		LogConfig: container.LogConfig{Type: c.LogDriver, Config: c.LogOpts},
		Resources: container.Resources{NanoCPUs: int64(c.CPUs * 1e9), Memory: int64(c.Memory), PidsLimit: &pids},
	}
	if !c.NewPrivileges {
		h.SecurityOpt = []string{"no-new-privileges"}
	}
	if c.Init {
		h.Init = &c.Init
	}
	for _, dir := range c.Tmpfs {
		if h.Tmpfs == nil {
			h.Tmpfs = map[string]string{}
		}
		h.Tmpfs[dir] = ""
	}
	return h
}

// boundedLog bounds the output of members where the engine's own log driver lets
// files grow without end: Docker's json-file and podman's k8s-file, which the
// latter does not name. Others are left alone: they refuse the option.
func (p *Pool) boundedLog() container.LogConfig {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts == nil {
		return container.LogConfig{}
	}
	switch p.facts.logDriver {
	case "", "k8s-file":
		return container.LogConfig{Config: map[string]string{"max-size": "10m"}}
	case "json-file":
		return container.LogConfig{Config: map[string]string{"max-size": "10m", "max-file": "3"}}
	}
	return container.LogConfig{}
}
