package emulate

import (
	"math"
	"net/http"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// A ComputeAutoscaler is Google's own autoscaler of a group.
type ComputeAutoscaler struct {
	Name     string  // default the group's
	Mode     string  // ON (default), ONLY_SCALE_OUT or OFF
	Min, Max int     // members; default 1 and 10
	Target   float64 // of CPU utilisation; default 0.6
}

// stabilization is how long the peak of the load counts; Google's default.
const stabilization = 10 * time.Minute

// An autoscaler recommends a size, also when it may not set it.
type autoscaler struct {
	g        *group
	id       uint64
	name     string
	policy   compute.AutoscalingPolicy
	load     float64 // in members' whole CPUs
	peaks    []peak
	advice   int
	decides  time.Time
	statuses []*compute.AutoscalerStatusDetails
}

// A peak is how many members a load wanted at a time.
type peak struct {
	at   time.Time
	want int
}

func newAutoscaler(g *group, o ComputeAutoscaler) *autoscaler {
	if o.Name == "" {
		o.Name = g.o.Name
	}
	if o.Mode == "" {
		o.Mode = "ON"
	}
	if o.Min == 0 {
		o.Min = 1
	}
	if o.Max == 0 {
		o.Max = 10
	}
	if o.Target == 0 {
		o.Target = 0.6
	}
	first := []peak{{g.c.w.at, g.target}} // the group does not shrink before the load was seen for a while
	return &autoscaler{g: g, id: g.c.id(), name: o.Name, peaks: first, advice: min(max(g.target, o.Min), o.Max), policy: compute.AutoscalingPolicy{
		Mode: o.Mode, MinNumReplicas: int64(o.Min), MaxNumReplicas: int64(o.Max), CoolDownPeriodSec: 60,
		StabilizationPeriodSec: int64(stabilization.Seconds()),
		CpuUtilization:         &compute.AutoscalingPolicyCpuUtilization{UtilizationTarget: o.Target, PredictiveMethod: "NONE"},
	}}
}

func (a *autoscaler) link() string { return a.g.c.link(a.g.in.String(), "autoscalers", a.name) }

// settle decides once a minute (assumed): the size that the highest load within the
// stabilization period wants, within the limits. It sets it if its mode says so.
// Assumed: members that somebody deletes by name are made up for at the next decision.
func (a *autoscaler) settle() {
	w := a.g.c.w
	if w.at.Before(a.decides) {
		return
	}
	a.decides = w.at.Add(time.Minute)
	a.advise()
	size := a.g.target
	if a.policy.Mode == "ON" || a.policy.Mode == "ONLY_SCALE_OUT" && a.advice > size {
		a.g.setSize(a.advice, "autoscaler "+a.name)
	}
}

// advise computes the recommended size.
func (a *autoscaler) advise() {
	w, target := a.g.c.w, 0.6
	if a.policy.CpuUtilization != nil && a.policy.CpuUtilization.UtilizationTarget > 0 {
		target = a.policy.CpuUtilization.UtilizationTarget
	}
	a.peaks = append(a.peaks, peak{w.at, int(math.Ceil(a.load/target - 1e-9))})
	best, period := 0, time.Duration(a.policy.StabilizationPeriodSec)*time.Second
	kept := a.peaks[:0]
	for _, p := range a.peaks {
		if w.at.Sub(p.at) < max(period, time.Minute) {
			kept = append(kept, p)
			best = max(best, p.want)
		}
	}
	a.peaks, a.statuses = kept, nil
	least, most := int(a.policy.MinNumReplicas), int(a.policy.MaxNumReplicas)
	if best > most {
		a.statuses = append(a.statuses, &compute.AutoscalerStatusDetails{Type: "CAPPED_AT_MAX_NUM_REPLICAS", Message: "The number of replicas has reached its maximum."})
	}
	if least == most {
		a.statuses = append(a.statuses, &compute.AutoscalerStatusDetails{Type: "MIN_EQUALS_MAX", Message: "The minimum and the maximum number of replicas are the same."})
	}
	a.advice = min(max(best, least), most)
}

// show writes an autoscaler as the API does.
func (a *autoscaler) show() *compute.Autoscaler {
	p := a.policy
	p.ForceSendFields = []string{"MinNumReplicas"}
	out := &compute.Autoscaler{
		Kind: "compute#autoscaler", Id: a.id, Name: a.name, Target: a.g.link(), SelfLink: a.link(), Status: "ACTIVE",
		RecommendedSize: int64(a.advice), AutoscalingPolicy: &p, StatusDetails: a.statuses, CreationTimestamp: stamp(a.g.born),
		ForceSendFields: []string{"RecommendedSize"},
	}
	if a.g.in.kind == "zones" {
		out.Zone = a.g.c.link(a.g.in.String())
	} else {
		out.Region = a.g.c.link(a.g.in.String())
	}
	return out
}

// scalerNamed is the autoscaler of a name in the request's place.
func (c *Compute) scalerNamed(r *http.Request, name string) (*autoscaler, error) {
	in := placeOf(r)
	for _, g := range c.groups {
		if g.scaler != nil && g.in == in && g.scaler.name == name {
			return g.scaler, nil
		}
	}
	return nil, notFound("projects/" + c.o.Project + "/" + in.String() + "/autoscalers/" + name)
}

func (c *Compute) getAutoscaler(r *http.Request) (any, error) {
	a, err := c.scalerNamed(r, r.PathValue("autoscaler"))
	if err != nil {
		return nil, err
	}
	return a.show(), nil
}

func (c *Compute) listAutoscalers(r *http.Request) (any, error) {
	var all []*compute.Autoscaler
	for _, g := range c.groups {
		if g.scaler != nil && g.in == placeOf(r) {
			all = append(all, g.scaler.show())
		}
	}
	all, next, err := cutPage(r, all, 500)
	return &compute.AutoscalerList{Kind: "compute#autoscalerList", Items: all, NextPageToken: next}, err
}

// patchAutoscaler merges what is given into the policy. The name is a parameter of
// the query; without it nobody knows which is meant, whatever the body says.
func (c *Compute) patchAutoscaler(r *http.Request) (any, error) {
	name := r.URL.Query().Get("autoscaler")
	if name == "" {
		return nil, &computeError{http.StatusBadRequest, "required", "Required field 'autoscaler' not specified"}
	}
	a, err := c.scalerNamed(r, name)
	if err != nil {
		return nil, err
	}
	now, err := decodeOnto(r, *a.show())
	if err != nil {
		return nil, err
	}
	p := now.AutoscalingPolicy
	o := operation{kind: "compute.autoscalers.patch", target: a.link(), targetID: a.id, in: a.g.in, apply: func() *failure {
		a.policy, a.decides = *p, c.w.at
		return nil
	}}
	return c.operate(r, o, func() error { return checkPolicy(p) })
}

// checkPolicy refuses what no autoscaler can keep.
func checkPolicy(p *compute.AutoscalingPolicy) error {
	switch {
	case p == nil:
		return &computeError{http.StatusBadRequest, "required", "Required field 'resource.autoscalingPolicy' not specified"}
	case p.Mode != "ON" && p.Mode != "ONLY_SCALE_OUT" && p.Mode != "OFF":
		return invalid("Invalid value for field 'resource.autoscalingPolicy.mode': '%s'.", p.Mode)
	case p.MaxNumReplicas < 1 || p.MaxNumReplicas > mostMembers:
		return invalid("Invalid value for field 'resource.autoscalingPolicy.maxNumReplicas': '%d'. It must be 1 to %d.", p.MaxNumReplicas, mostMembers)
	case p.MinNumReplicas < 0 || p.MinNumReplicas > p.MaxNumReplicas:
		return invalid("Invalid value for field 'resource.autoscalingPolicy.minNumReplicas': '%d'. It must be 0 to maxNumReplicas (%d).", p.MinNumReplicas, p.MaxNumReplicas)
	}
	return nil
}
