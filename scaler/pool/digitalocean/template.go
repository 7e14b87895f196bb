package digitalocean

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/digitalocean/godo"
)

// template is what new members are made by. It is safe for concurrent use.
type template struct {
	spec Droplets

	mu       sync.Mutex
	userData string
	version  string
	changed  time.Time
	size     int64
}

func newTemplate(d Droplets) *template { return &template{spec: d} }

// get returns the user data and the template's version, a hash of the image, the
// sizes and the user data: not of the region, for a member elsewhere is the same. The
// file is read anew when it changes.
func (t *template) get() (userData, version string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spec.UserDataFile == "" {
		return "", t.hash(""), nil
	}
	info, err := os.Stat(t.spec.UserDataFile)
	if err != nil {
		return "", "", fmt.Errorf("read the user data: %w", err)
	}
	if info.Size() > mostUserData {
		return "", "", fmt.Errorf("read the user data: %s has %d bytes, and DigitalOcean takes %d: let it fetch the rest when it runs", t.spec.UserDataFile, info.Size(), mostUserData)
	}
	if t.version == "" || !info.ModTime().Equal(t.changed) || info.Size() != t.size {
		raw, err := os.ReadFile(t.spec.UserDataFile)
		if err != nil {
			return "", "", fmt.Errorf("read the user data: %w", err)
		}
		t.userData, t.changed, t.size = string(raw), info.ModTime(), info.Size()
		t.version = t.hash(t.userData)
	}
	return t.userData, t.version, nil
}

func (t *template) hash(userData string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{t.spec.Image, userData}, t.spec.Sizes...), "\x00")))
	return hex.EncodeToString(sum[:4])
}

// image finds what the configuration calls the image: a number, the newest of the
// account's own images of that name, or else a slug.
func (a *account) image(ctx context.Context, name string) (godo.DropletCreateImage, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return godo.DropletCreateImage{ID: id}, nil
	}
	var found []godo.Image
	for page := 1; ; page++ {
		images, res, err := a.write.Images.ListUser(ctx, &godo.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return godo.DropletCreateImage{}, explain("find image "+name, err)
		}
		for _, i := range images {
			if i.Name == name {
				found = append(found, i)
			}
		}
		if res.Links == nil || res.Links.IsLastPage() || len(images) == 0 {
			break
		}
	}
	if len(found) == 0 {
		return godo.DropletCreateImage{Slug: name}, nil
	}
	newest := slices.MaxFunc(found, func(a, b godo.Image) int { return strings.Compare(a.Created, b.Created) })
	return godo.DropletCreateImage{ID: newest.ID}, nil
}

// request is how members of those names are asked for.
func (p *droplets) request(names []string, o offer, image godo.DropletCreateImage, userData, version string) *godo.DropletMultiCreateRequest {
	r := &godo.DropletMultiCreateRequest{
		Names: names, Region: o.region, Size: o.size, Image: image, UserData: userData, VPCUUID: p.spec.VPC,
		Monitoring: p.spec.Monitoring, Tags: []string{markTag, p.spec.Tag, versionTag + version},
		SSHKeys: []godo.DropletCreateSSHKey{},
	}
	for _, k := range p.spec.SSHKeys {
		if id, err := strconv.Atoi(k); err == nil {
			r.SSHKeys = append(r.SSHKeys, godo.DropletCreateSSHKey{ID: id})
		} else {
			r.SSHKeys = append(r.SSHKeys, godo.DropletCreateSSHKey{Fingerprint: k})
		}
	}
	return r
}
