package digitalocean

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/pool/emulate"
)

// served are the names of those that have the balancer's tag.
func (c *cloud) served(tag string) string {
	var out []string
	for _, d := range c.do.Droplets() {
		if slices.Contains(d.Tags, tag) {
			out = append(out, d.Name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestMembersBearTheTrafficTagWhileTheyTakeRequests(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.TrafficTag = "web-lb"
		p := c.pool("web")
		tr := NewTraffic(p)
		ms := c.ready(p, "web-1", "web-2")
		if got := c.served("web-lb"); got != "" {
			t.Errorf("before they are admitted %s are served", got)
		}
		began := time.Now()
		for range 3 {
			if err := tr.Admit(t.Context(), ms); err != nil {
				t.Fatal(err)
			}
		}
		open, err := tr.Open(t.Context())
		if err != nil || fmt.Sprint(open) != fmt.Sprint(map[rules.MemberID]int{ms[0].ID: Uncounted, ms[1].ID: Uncounted}) {
			t.Errorf("Open: %v, %v", open, err)
		}
		for range 3 {
			if err := tr.Withdraw(t.Context(), ms[:1]); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.served("web-lb"); got != "web-2" {
			t.Errorf("%s are served, want web-2", got)
		}
		if n := c.asked(began, "POST") + c.asked(began, "DELETE"); n != 4 { // the tag is made, and found missing before
			t.Errorf("%d requests, want 4: nothing is asked for what is so already", n)
		}
		if err := c.remove(p, ms[1].ID); err != nil {
			t.Fatal(err)
		}
		if got := c.served("web-lb"); got != "" {
			t.Errorf("%s is served while it is shut down", got)
		}
	})
}

func TestTheTagsThatWereSetAreBelievedMoreThanAListThatLags(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.TrafficTag = "web-lb"
		p := c.pool("web")
		tr := NewTraffic(p)
		ms := c.ready(p, "web-1")
		if err := tr.Admit(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		c.do.Untag("web-1", "web-lb") // as a list that lags would show it
		time.Sleep(restAge)
		c.look(p)
		if open, _ := tr.Open(t.Context()); len(open) != 1 {
			t.Errorf("a list that lags is believed: %v", open)
		}
		time.Sleep(2 * tagLag)
		c.look(p)
		if open, _ := tr.Open(t.Context()); len(open) != 0 {
			t.Errorf("a human's untagging is not seen: %v", open)
		}
	})
}

func TestADropletThatIsGoneKeepsNobodyInRotation(t *testing.T) {
	inCloud(t, emulate.DigitalOceanOptions{}, func(c *cloud) {
		t := c.t
		c.config.Droplets.TrafficTag = "web-lb"
		p := c.pool("web")
		tr := NewTraffic(p)
		ms := c.ready(p, "web-1", "web-2", "web-3")
		if err := tr.Admit(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		c.do.Destroy("web-2")
		time.Sleep(11 * time.Second) // the list is not read again
		if err := tr.Withdraw(t.Context(), ms[:2]); err != nil {
			t.Fatal(err)
		}
		if got := c.served("web-lb"); got != "web-3" {
			t.Errorf("%s are served, want web-3", got)
		}
		time.Sleep(time.Second)
		began := time.Now()
		if err := tr.Withdraw(t.Context(), ms[:2]); err != nil || c.asked(began, "") > 0 {
			t.Errorf("who is out is asked about again %d times: %v", c.asked(began, ""), err)
		}
	})
}
