package emulate

// What the API shows of a Droplet.
type (
	dropletView struct {
		ID        int      `json:"id"`
		Name      string   `json:"name"`
		Memory    int      `json:"memory"`
		VCPUs     int      `json:"vcpus"`
		Disk      int      `json:"disk"`
		Locked    bool     `json:"locked"` // by an administrator, which never happens here
		Status    string   `json:"status"`
		Created   string   `json:"created_at"`
		Features  []string `json:"features"`
		BackupIDs []int    `json:"backup_ids"`
		Snapshots []int    `json:"snapshot_ids"`
		Volumes   []string `json:"volume_ids"`
		Image     *image   `json:"image"`
		Size      *size    `json:"size"`
		SizeSlug  string   `json:"size_slug"`
		Networks  networks `json:"networks"`
		Region    *region  `json:"region"`
		Tags      []string `json:"tags"`
		VPC       string   `json:"vpc_uuid,omitempty"`
	}
	networks struct {
		V4 []network `json:"v4"`
		V6 []network `json:"v6"`
	}
	network struct {
		Address string `json:"ip_address"`
		Netmask string `json:"netmask"`
		Gateway string `json:"gateway"`
		Type    string `json:"type"`
	}
)

// view is a Droplet as it is shown now. It has its address, public and private the
// same, from when it is active.
func (d *DigitalOcean) view(m *droplet) *dropletView {
	v := &dropletView{
		ID: m.id, Name: m.name, Memory: m.size.Memory, VCPUs: m.size.VCPUs, Disk: m.size.Disk,
		Status: m.status(), Created: written(m.born), Features: []string{"droplet_agent", "private_networking"},
		BackupIDs: []int{}, Snapshots: []int{}, Volumes: []string{},
		Image: m.image, Size: m.size, SizeSlug: m.size.Slug, Region: m.region, Tags: d.seenTags(m), VPC: m.vpc,
		Networks: networks{V4: []network{}, V6: []network{}},
	}
	if m.addr.IsValid() {
		for _, kind := range []string{"public", "private"} {
			v.Networks.V4 = append(v.Networks.V4, network{m.addr.String(), "255.0.0.0", "10.0.0.1", kind})
		}
	}
	return v
}
