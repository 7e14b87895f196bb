package gce

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/option"
)

// pageSize is how many members a page of a list has, where the group is listed by
// pages.
const pageSize = 500

// A place is a group where it is, in a zone or in a region: the same calls under two
// names.
type place interface {
	eyes
	hands
	native
}

// eyes read the group.
type eyes interface {
	group(ctx context.Context) (*compute.InstanceGroupManager, error)
	managed(ctx context.Context, each func([]*compute.ManagedInstance)) error
	operation(ctx context.Context, name string) (*compute.Operation, error)
}

// hands change its members. A request of the same ID is done once.
type hands interface {
	create(ctx context.Context, request string, names []string) (*compute.Operation, error)
	end(ctx context.Context, request string, instances []string) (*compute.Operation, error)
}

// native is Google's own autoscaler.
type native interface {
	autoscaler(ctx context.Context, name string) (*compute.Autoscaler, error)
	patch(ctx context.Context, request string, a *compute.Autoscaler) (*compute.Operation, error)
}

// newService returns a client of the API. Nothing is asked yet.
func newService(endpoint string, rt http.RoundTripper) (*compute.Service, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/compute/v1/"
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return compute.NewService(context.Background(),
		option.WithHTTPClient(newClient(rt)), option.WithEndpoint(u.String()))
}

// requestTime bounds one request, its token included; who asks may bound it further.
const requestTime = 15 * time.Second

// newClient returns a client that follows no redirect, with which a token or what it is
// got by would go along.
func newClient(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: rt, Timeout: requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newPlace(s *compute.Service, c Config) place {
	if c.Region != "" {
		return regional{s, c.Project, c.Region, c.Group}
	}
	return zonal{s, c.Project, c.Zone, c.Group}
}

type zonal struct {
	s                   *compute.Service
	project, zone, name string
}

func (z zonal) group(ctx context.Context) (*compute.InstanceGroupManager, error) {
	return z.s.InstanceGroupManagers.Get(z.project, z.zone, z.name).Context(ctx).Do()
}

func (z zonal) managed(ctx context.Context, each func([]*compute.ManagedInstance)) error {
	return z.s.InstanceGroupManagers.ListManagedInstances(z.project, z.zone, z.name).MaxResults(pageSize).Pages(ctx,
		func(r *compute.InstanceGroupManagersListManagedInstancesResponse) error {
			each(r.ManagedInstances)
			return nil
		})
}

func (z zonal) operation(ctx context.Context, name string) (*compute.Operation, error) {
	return z.s.ZoneOperations.Get(z.project, z.zone, name).Context(ctx).Do()
}

func (z zonal) create(ctx context.Context, request string, names []string) (*compute.Operation, error) {
	return z.s.InstanceGroupManagers.CreateInstances(z.project, z.zone, z.name,
		&compute.InstanceGroupManagersCreateInstancesRequest{Instances: configs(names)}).RequestId(request).Context(ctx).Do()
}

func (z zonal) end(ctx context.Context, request string, instances []string) (*compute.Operation, error) {
	return z.s.InstanceGroupManagers.DeleteInstances(z.project, z.zone, z.name, &compute.InstanceGroupManagersDeleteInstancesRequest{
		Instances: instances, SkipInstancesOnValidationError: true,
	}).RequestId(request).Context(ctx).Do()
}

func (z zonal) autoscaler(ctx context.Context, name string) (*compute.Autoscaler, error) {
	return z.s.Autoscalers.Get(z.project, z.zone, name).Context(ctx).Do()
}

func (z zonal) patch(ctx context.Context, request string, a *compute.Autoscaler) (*compute.Operation, error) {
	return z.s.Autoscalers.Patch(z.project, z.zone, a).Autoscaler(a.Name).RequestId(request).Context(ctx).Do()
}

type regional struct {
	s                     *compute.Service
	project, region, name string
}

func (r regional) group(ctx context.Context) (*compute.InstanceGroupManager, error) {
	return r.s.RegionInstanceGroupManagers.Get(r.project, r.region, r.name).Context(ctx).Do()
}

func (r regional) managed(ctx context.Context, each func([]*compute.ManagedInstance)) error {
	return r.s.RegionInstanceGroupManagers.ListManagedInstances(r.project, r.region, r.name).MaxResults(pageSize).Pages(ctx,
		func(p *compute.RegionInstanceGroupManagersListInstancesResponse) error {
			each(p.ManagedInstances)
			return nil
		})
}

func (r regional) operation(ctx context.Context, name string) (*compute.Operation, error) {
	return r.s.RegionOperations.Get(r.project, r.region, name).Context(ctx).Do()
}

func (r regional) create(ctx context.Context, request string, names []string) (*compute.Operation, error) {
	return r.s.RegionInstanceGroupManagers.CreateInstances(r.project, r.region, r.name,
		&compute.RegionInstanceGroupManagersCreateInstancesRequest{Instances: configs(names)}).RequestId(request).Context(ctx).Do()
}

func (r regional) end(ctx context.Context, request string, instances []string) (*compute.Operation, error) {
	return r.s.RegionInstanceGroupManagers.DeleteInstances(r.project, r.region, r.name, &compute.RegionInstanceGroupManagersDeleteInstancesRequest{
		Instances: instances, SkipInstancesOnValidationError: true,
	}).RequestId(request).Context(ctx).Do()
}

func (r regional) autoscaler(ctx context.Context, name string) (*compute.Autoscaler, error) {
	return r.s.RegionAutoscalers.Get(r.project, r.region, name).Context(ctx).Do()
}

func (r regional) patch(ctx context.Context, request string, a *compute.Autoscaler) (*compute.Operation, error) {
	return r.s.RegionAutoscalers.Patch(r.project, r.region, a).Autoscaler(a.Name).RequestId(request).Context(ctx).Do()
}

// configs are what members of those names are asked for by.
func configs(names []string) []*compute.PerInstanceConfig {
	var out []*compute.PerInstanceConfig
	for _, n := range names {
		out = append(out, &compute.PerInstanceConfig{Name: n})
	}
	return out
}

// last is the name at the end of a resource's address; "" if there is none.
func last(address string) string {
	if address == "" {
		return ""
	}
	return path.Base(address)
}

// zoneOf is the zone in an instance's address.
func zoneOf(instance string) string {
	_, rest, _ := strings.Cut(instance, "zones/")
	zone, _, _ := strings.Cut(rest, "/")
	return zone
}
