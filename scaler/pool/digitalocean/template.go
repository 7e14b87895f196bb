package digitalocean

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
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
	changed  time.Time
	size     int64
}

func newTemplate(d Droplets) *template { return &template{spec: d} }

// get returns the user data and the template's version with an image that was found: a
// hash of all that members are made of but the region, for a member elsewhere is the
// same. The file is read anew when it changes.
func (t *template) get(image string) (userData, version string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.read(); err != nil {
		return "", "", fmt.Errorf("read the user data: %w", err)
	}
	return t.userData, t.hash(image), nil
}

// read reads the user data if they changed; the caller has the lock.
func (t *template) read() error {
	if t.spec.UserDataFile == "" {
		return nil
	}
	info, err := os.Stat(t.spec.UserDataFile)
	if err != nil {
		return err
	}
	if info.Size() > mostUserData {
		return fmt.Errorf("%s has %d bytes, and DigitalOcean takes %d: let it fetch the rest when it runs", t.spec.UserDataFile, info.Size(), mostUserData)
	}
	if info.ModTime().Equal(t.changed) && info.Size() == t.size {
		return nil
	}
	raw, err := os.ReadFile(t.spec.UserDataFile)
	if err != nil {
		return err
	}
	t.userData, t.changed, t.size = string(raw), info.ModTime(), info.Size()
	return nil
}

// hash leaves out what is not written, so that the version of a template stays when
// there is more that may be written; the caller has the lock.
func (t *template) hash(image string) string {
	parts := append([]string{image, t.userData}, t.spec.Sizes...)
	for _, k := range t.spec.SSHKeys {
		parts = append(parts, "key "+k)
	}
	if t.spec.VPC != "" {
		parts = append(parts, "vpc "+t.spec.VPC)
	}
	if t.spec.Monitoring {
		parts = append(parts, "monitoring")
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:4])
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
