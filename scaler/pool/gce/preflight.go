package gce

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"google.golang.org/api/compute/v1"

	"flyball/rules"
)

// Preflight looks at all that the pool depends on, before it is needed: credentials,
// project and group, who resizes the group, its template, its quota for most members
// (0: unbounded), and what the group does by itself. It changes nothing.
func (p *Pool) Preflight(ctx context.Context, most int) []rules.Finding {
	s, err := p.known(ctx, true)
	if err != nil {
		return []rules.Finding{p.unreached(err)}
	}
	fs := []rules.Finding{
		{OK: true, What: "credentials", Text: "accepted for project " + p.cfg.Project},
		{OK: true, What: "group", Text: fmt.Sprintf("%s has %d of %d members", p.where(), present(s), s.group.TargetSize)},
		p.findOwner(s),
	}
	if f, is := p.findSelf(ctx, s); is {
		fs = append(fs, f)
	}
	if p.cfg.Mode == modeFloor {
		fs = append(fs, findRange(s.native, most))
	}
	machineType, template := p.findTemplate(ctx, s)
	fs = append(fs, template)
	if machineType != "" {
		fs = append(fs, p.findQuota(ctx, s, machineType, most))
	}
	return append(fs, p.findLimit(s, most), p.findHealing(s.group), findRedistribution(s.group), findUpdates(s.group))
}

// unreached is the one finding where the group cannot be read.
func (p *Pool) unreached(err error) rules.Finding {
	var who *credentialsError
	f := rules.Finding{What: "group", Text: err.Error(), Hint: "see that project, zone or region, and group are written as Google shows them"}
	switch {
	case p.isUnreached(err):
		f.What, f.Hint = "API", "see whether this machine may reach it, and that endpoint is right"
	case errors.As(err, &who):
		f.What, f.Hint = "credentials", "write credentials_file with a service account's JSON key, or give this machine a service account"
	case errors.Is(err, errThrottled):
		f.What, f.Hint = "requests", "try again in a minute; ask for a higher quota of requests if it happens often"
	}
	return f
}

// findOwner tells whether the group is resized by whom the configuration declares.
func (p *Pool) findOwner(s *snapshot) rules.Finding {
	f := rules.Finding{OK: true, What: "who resizes", Text: fmt.Sprintf("mode %s, and Google's autoscaler is %s", p.cfg.Mode, nativeMode(s.native))}
	if s.native != nil && s.native.RecommendedSize > 0 {
		f.Text += fmt.Sprintf("; it would have %d members", s.native.RecommendedSize)
	}
	if why := p.fight(s); why != "" {
		text, hint, _ := strings.Cut(why, ": ")
		f.OK, f.Text, f.Hint = false, text, hint
	}
	return f
}

// findRange tells whether Google's autoscaler may have as many members as the rule.
func findRange(a *compute.Autoscaler, most int) rules.Finding {
	f := rules.Finding{OK: true, What: "range of Google's autoscaler"}
	if a == nil || a.AutoscalingPolicy == nil {
		f.OK, f.Text, f.Hint = false, "it has no policy", "give it one, or declare mode: direct"
		return f
	}
	f.Text = fmt.Sprintf("%d to %d members", a.AutoscalingPolicy.MinNumReplicas, a.AutoscalingPolicy.MaxNumReplicas)
	if int64(most) > a.AutoscalingPolicy.MaxNumReplicas {
		f.OK = false
		f.Hint = fmt.Sprintf("raise its greatest size to %d, or lower the rule's max", most)
	}
	return f
}

// findTemplate reads what members are made from, and returns their machine type.
func (p *Pool) findTemplate(ctx context.Context, s *snapshot) (machineType string, f rules.Finding) {
	link := templateOf(s.group)
	f = rules.Finding{What: "template", Text: last(link)}
	var t *compute.InstanceTemplate
	var err error
	if _, rest, regional := strings.Cut(link, "/regions/"); regional {
		t, err = p.api.RegionInstanceTemplates.Get(p.cfg.Project, strings.Split(rest, "/")[0], last(link)).Context(ctx).Do()
	} else {
		t, err = p.api.InstanceTemplates.Get(p.cfg.Project, last(link)).Context(ctx).Do()
	}
	switch {
	case isGone(err):
		f.Text += " does not exist"
		f.Hint = "make it again, or give the group another: no member can be made without"
	case err != nil:
		p.heed(err)
		f.Text, f.Hint = p.explain("read template "+last(link), err).Error(), "permit compute.instanceTemplates.get"
	case t.Properties == nil || t.Properties.MachineType == "":
		f.OK = true
	default:
		f.OK, machineType = true, path.Base(t.Properties.MachineType)
		f.Text += ", machines of type " + machineType
	}
	return machineType, f
}

// findQuota tells whether the region's quota is enough for as many members.
func (p *Pool) findQuota(ctx context.Context, s *snapshot, machineType string, most int) rules.Finding {
	f := rules.Finding{What: "quota"}
	region, err := p.api.Regions.Get(p.cfg.Project, p.region()).Context(ctx).Do()
	if err != nil {
		p.heed(err)
		f.Text, f.Hint = p.explain("read the quotas of region "+p.region(), err).Error(), "permit compute.regions.get"
		return f
	}
	cpus, err := p.cpus(ctx, s, machineType)
	if err != nil {
		p.heed(err)
		f.Text, f.Hint = p.explain("read machine type "+machineType, err).Error(), "give the template a machine type of this zone, and permit compute.machineTypes.get"
		return f
	}
	more := max(0, most-present(s))
	each := map[string]float64{"INSTANCES": 1, cpuMetric(machineType): float64(cpus)}
	var room []string
	for _, q := range region.Quotas {
		need, counts := each[q.Metric]
		if !counts {
			continue
		}
		left := int((q.Limit - q.Usage) / max(need, 1))
		room = append(room, fmt.Sprintf("%s is enough for %d more members", q.Metric, max(0, left)))
		if left < more {
			f.Hint = fmt.Sprintf("the rule may want %d more: ask for a higher quota of %s in region %s, or lower the rule's max", more, q.Metric, p.region())
		}
	}
	f.OK, f.Text = f.Hint == "", strings.Join(room, ", ")
	if len(room) == 0 {
		f.Text = "region " + p.region() + " names none for machines of type " + machineType
	}
	return f
}

// cpuMetric is the quota that a machine type's processors count against: that of its
// family, where the family has one.
func cpuMetric(machineType string) string {
	family, _, _ := strings.Cut(machineType, "-")
	switch family {
	case "n2", "n2d", "c2", "c2d", "c3", "m1", "m2", "m3", "a2", "a3", "g2", "t2d", "t2a":
		return strings.ToUpper(family) + "_CPUS"
	default:
		return "CPUS"
	}
}

func (p *Pool) cpus(ctx context.Context, s *snapshot, machineType string) (int64, error) {
	zone := p.cfg.Zone
	if d := s.group.DistributionPolicy; zone == "" && d != nil && len(d.Zones) > 0 {
		zone = last(d.Zones[0].Zone)
	}
	t, err := p.api.MachineTypes.Get(p.cfg.Project, zone, machineType).Context(ctx).Do()
	if err != nil {
		return 0, err
	}
	return t.GuestCpus, nil
}

// region is where the group is, be it in one of its zones.
func (p *Pool) region() string {
	if p.cfg.Region != "" {
		return p.cfg.Region
	}
	return p.cfg.Zone[:strings.LastIndex(p.cfg.Zone, "-")]
}

// findLimit tells whether a group can have as many members.
func (p *Pool) findLimit(s *snapshot, most int) rules.Finding {
	limit := mostZonal
	if p.cfg.Region != "" {
		limit = mostRegional
	}
	f := rules.Finding{OK: most <= limit, What: "size of the group", Text: fmt.Sprintf("a group like this can have %d members", limit)}
	if !f.OK {
		f.Hint = fmt.Sprintf("lower the rule's max of %d, or make pools of two groups", most)
	}
	if g := s.group; g.TargetStoppedSize > 0 || g.TargetSuspendedSize > 0 {
		f.Text += fmt.Sprintf("; %d on standby are not members until the group starts them", g.TargetStoppedSize+g.TargetSuspendedSize)
	}
	return f
}

// findHealing tells of two who replace members.
func (p *Pool) findHealing(g *compute.InstanceGroupManager) rules.Finding {
	f := rules.Finding{OK: true, What: "repair", Text: "members that fail are left to Flyball"}
	heals := false
	for _, h := range g.AutoHealingPolicies {
		heals = heals || h.HealthCheck != ""
		if h.HealthCheck != "" && h.InitialDelaySec == 0 {
			f.Hint = "its initial delay is 0: members are ended before they have booted; set it to longer than a boot takes. "
		}
	}
	switch {
	case heals && p.cfg.Mode == modeDirect:
		f.OK, f.Text = false, "Google's autohealing replaces members, and so does Flyball"
		f.Hint += "take the group's health check off (gcloud compute instance-groups managed update --clear-autohealing)"
	case heals:
		f.Text, f.OK = "Google's autohealing replaces members", f.Hint == ""
	case repairs(g):
		f.Text = "the group makes members anew that stop or are deleted; those that are sick are left to Flyball"
	}
	return f
}

// findRedistribution tells whether the group ends members by itself.
func findRedistribution(g *compute.InstanceGroupManager) rules.Finding {
	f := rules.Finding{OK: true, What: "redistribution", Text: "the group ends no member to spread them over zones"}
	if redistributes(g) {
		f.OK, f.Text = false, "the group ends members, without a drain of Flyball's, to spread them over its zones"
		f.Hint = "set it to NONE (gcloud compute instance-groups managed update --instance-redistribution-type=none)"
	}
	return f
}

// findUpdates tells whether the group brings a new template out by itself.
func findUpdates(g *compute.InstanceGroupManager) rules.Finding {
	f := rules.Finding{OK: true, What: "updates", Text: "a new template is brought out by flyball pool roll"}
	if g.UpdatePolicy != nil && g.UpdatePolicy.Type == "PROACTIVE" {
		f.OK, f.Text = false, "the group brings a new template out by itself, without asking the members whether they are ready"
		f.Hint = "set its update policy to OPPORTUNISTIC; flyball pool roll brings templates out"
	}
	return f
}
