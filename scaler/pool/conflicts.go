package pool

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"flyball/rules"
	"flyball/scaler/pool/digitalocean"
)

// Conflicts names what two pools want that only one can have: a port, a balancer's
// address, the members of a tag or a group. The pools stand at path in their document.
func Conflicts(path string, pools map[string]Config) []rules.Fault {
	var fs []rules.Fault
	names := slices.Sorted(maps.Keys(pools))
	for i, b := range names {
		for _, a := range names[:i] {
			fs = append(fs, conflicts(path+"."+b, a, pools[a], pools[b])...)
			fs = append(fs, sameMembers(path+"."+b, a, b, pools[a], pools[b])...)
		}
	}
	return fs
}

// conflicts names what b, which stands at path, takes from the pool called other.
func conflicts(path, other string, a, b Config) []rules.Fault {
	var fs []rules.Fault
	if a.Process != nil && b.Process != nil {
		first, last, err := a.Process.Ports.Range()
		from, to, err2 := b.Process.Ports.Range()
		if err == nil && err2 == nil && from <= last && first <= to {
			fs = append(fs, rules.Fault{
				Path: path + ".process.ports", Text: fmt.Sprintf("overlaps %s of pool %s", a.Process.Ports, other),
				Hint: "give each pool a range of its own",
			})
		}
	}
	if a.Traffic == nil || b.Traffic == nil {
		return fs
	}
	if a.Traffic.HAProxy != "" && (a.Traffic.HAProxy == b.Traffic.HAProxy || a.Socket != "" && a.Socket == b.Socket) && a.Traffic.Backend == b.Traffic.Backend {
		fs = append(fs, rules.Fault{
			Path: path + ".traffic.backend", Text: fmt.Sprintf("is the backend of pool %s, too", other),
			Hint: "give each pool a backend of its own",
		})
	}
	if a.Traffic.Balance != "" && a.Traffic.Balance == b.Traffic.Balance {
		fs = append(fs, rules.Fault{
			Path: path + ".traffic.balance", Text: fmt.Sprintf("is the address of pool %s, too", other),
			Hint: "give each pool a balancer of its own",
		})
	}
	if a.Traffic.Control != "" && a.Traffic.Control == b.Traffic.Control {
		fs = append(fs, rules.Fault{
			Path: path + ".traffic.control", Text: fmt.Sprintf("is the socket of pool %s, too", other), Hint: "leave control out",
		})
	}
	return fs
}

// sameMembers names the members that the pool called own, which stands at path, takes
// from the pool called other.
func sameMembers(path, other, own string, a, b Config) []rules.Fault {
	var fs []rules.Fault
	if a, b := a.GCE, b.GCE; a != nil && b != nil && a.Project == b.Project && a.Zone == b.Zone && a.Region == b.Region && a.Group == b.Group {
		fs = append(fs, rules.Fault{
			Path: path + ".gce.group", Text: fmt.Sprintf("is the group of pool %s, too", other), Hint: "give each pool a group of its own",
		})
	}
	if a.DigitalOcean == nil || b.DigitalOcean == nil || a.DigitalOcean.TokenFile != b.DigitalOcean.TokenFile {
		return fs
	}
	taken := claims(other, a.DigitalOcean)
	for _, c := range claims(own, b.DigitalOcean) {
		if slices.ContainsFunc(taken, func(t claim) bool { return t.id == c.id }) {
			fs = append(fs, rules.Fault{
				Path: path + ".digitalocean." + c.path, Text: fmt.Sprintf("belongs to pool %s, too", other), Hint: "give each pool one of its own",
			})
		}
	}
	return fs
}

// A claim is what only one pool of an account may have, and where that is written.
type claim struct{ path, id string }

func claims(pool string, c *digitalocean.Config) []claim {
	var out []claim
	if d := c.Droplets; d != nil {
		tag := claim{"droplets.tag", strings.ToLower(d.Tag)} // tags are the same whatever their case
		if d.Tag == "" {
			tag = claim{"droplets", strings.ToLower("flyball-" + pool)}
		}
		out = append(out, tag)
		if d.TrafficTag != "" {
			out = append(out, claim{"droplets.traffic_tag", strings.ToLower(d.TrafficTag)})
		}
	}
	if c.AutoscalePool != "" {
		out = append(out, claim{"autoscale_pool", strings.ToLower(c.AutoscalePool)})
	}
	if k := c.Kubernetes; k != nil {
		out = append(out, claim{"kubernetes.node_pool", strings.ToLower(k.NodePool)})
	}
	return out
}
