package testservers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// settle writes the settings of the engine: all that it keeps is in its
// directory, its locks, too, which engines of one user share else. The driver vfs
// needs no mounts, and small images no better one.
func (p *Podman) settle(path string) error {
	bridge, err := p.chooseSubnet()
	if err != nil {
		return err
	}
	network, err := p.networkFile(bridge, p.gateway)
	if err != nil {
		return fmt.Errorf("describe the network of %s: %w", p.name, err)
	}
	for _, d := range []string{"storage", "run", "state", "net", "tmp"} {
		if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
			return fmt.Errorf("settle %s: %w", p.name, err)
		}
	}
	for file, text := range map[string]string{
		"containers.conf":            p.containersConf(),
		"storage.conf":               fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = \"%s/storage\"\nrunroot = \"%[1]s/run\"\n", p.dir),
		"net/" + p.network + ".json": string(network),
		"bridge":                     bridge,
		"leave.sh":                   podmanLeave,
		"podman":                     p.clientScript(path),
	} {
		if err := os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o755); err != nil {
			return fmt.Errorf("settle %s: %w", p.name, err)
		}
	}
	return nil
}

// clientScript returns a script that is podman with the settings of this engine.
func (p *Podman) clientScript(path string) string {
	return strings.NewReplacer("{dir}", p.dir, "{podman}", path).Replace(`#!/bin/sh
export CONTAINERS_CONF={dir}/containers.conf CONTAINERS_STORAGE_CONF={dir}/storage.conf TMPDIR={dir}/tmp
exec {podman} --root {dir}/storage --runroot {dir}/run --tmpdir {dir}/state --network-config-dir {dir}/net "$@"
`)
}

// containersConf returns the settings of the engine. The limits are ours as far
// as we may give them on; runc takes every layout of the control groups.
func (p *Podman) containersConf() string {
	files := uint64(20000)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		files = min(files, limit.Max)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[containers]\ndefault_ulimits = [\"nofile=%d:%[1]d\", \"nproc=1024:1024\"]\n", files)
	fmt.Fprint(&b, "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\n")
	if _, err := exec.LookPath("runc"); err == nil {
		fmt.Fprint(&b, "runtime = \"runc\"\n")
	}
	fmt.Fprintf(&b, "[network]\nnetwork_backend = \"netavark\"\ndefault_network = %q\ndefault_subnet = %q\n", p.network, p.subnet)
	return b.String()
}

// chooseSubnet finds addresses that neither the machine nor another engine of
// ours has, and names the network after them.
func (p *Podman) chooseSubnet() (bridge string, err error) {
	taken, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for range 1000 {
		a, b := byte(160+rand.IntN(90)), byte(rand.IntN(256))
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, a, b, 0}), 24)
		if overlapsAny(prefix, taken) {
			continue
		}
		held, err := reserve("subnet/" + prefix.String())
		if err != nil {
			continue
		}
		p.held = append(p.held, held)
		p.subnet, p.gateway = prefix.String(), prefix.Addr().Next().String()
		p.network = fmt.Sprintf("flyball-%d-%d", a, b)
		return fmt.Sprintf("fly-%d-%d", a, b), nil
	}
	return "", errors.New("find a free subnet: 1000 tries were not enough")
}

// overlapsAny says whether a network of the machine has addresses in prefix.
func overlapsAny(prefix netip.Prefix, taken []net.Addr) bool {
	for _, t := range taken {
		if other, err := netip.ParsePrefix(t.String()); err == nil && other.Overlaps(prefix) {
			return true
		}
	}
	return false
}
