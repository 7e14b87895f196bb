package emulate_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flyball/scaler/pool/emulate"
)

func TestFaultsArePlantedListedAndHealedWhileTheCloudServes(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{Token: "secret"}, func(c cloud) {
		h := c.world.Controls(c.do, c.do.Destroy)
		for _, tt := range []struct {
			method, path, body string
			status             int
			says, befalls      string // what is said, and which status of a request then follows
		}{
			{"GET", "faults", "", 200, "no fault is planted", ""},
			{"PUT", "faults/error_500", "", 200, "error_500 is planted", "500"},
			{"PUT", "faults/error_500", "times=1", 200, "error_500,times=1 is planted", "500"},
			{"GET", "faults", "", 200, "error_500,times=1, befell 1 time(s)\n", ""},
			{"PUT", "faults/error_500", "100%\n", 200, "error_500=100% is planted", "500"},
			{"PUT", "faults/error_503", "50%,on=GET /v3", 200, "error_503=50%,on=GET /v3 is planted", "500"},
			{"GET", "faults", "", 200, "error_500=100%, befell 2 time(s)\nerror_503=50%,on=GET /v3, befell 0 time(s)\n", "500"},
			{"DELETE", "faults/error_500", "", 200, "error_500 is healed", ""},
			{"DELETE", "faults/error_500", "", 404, "error_500 is not planted", ""},
			{"PUT", "faults/error_500", "on=GET /v2/account", 200, "", "500"},
			{"DELETE", "faults", "", 200, "all faults are healed", ""},
			{"GET", "faults", "", 200, "no fault is planted", ""},
			{"PUT", "faults/error_418", "", 400, "there are error_500", ""},
			{"PUT", "faults/error_500", "200%", 400, "e.g. 5%", ""},
			{"PUT", "faults/error_500", "often=1", 400, "write on=", ""},
			{"PUT", "faults/error_500", "on=" + strings.Repeat("x", 2000), 400, "too large", ""},
			{"POST", "faults", "", 404, "PUT /emulator/faults/error_500", ""},
		} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(tt.method, "/emulator/"+tt.path, strings.NewReader(tt.body)))
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) {
				c.Errorf("%s %s %q: %d %s", tt.method, tt.path, tt.body, rec.Code, rec.Body)
			}
			_, _, err := c.c.Account.Get(context.Background())
			if (tt.befalls == "500") != (status(err) == http.StatusInternalServerError) || tt.befalls == "" && err != nil {
				c.Errorf("after %s %s %q a request ends with %v", tt.method, tt.path, tt.body, err)
			}
		}
	})
}

func TestTheCloudIsServedBesideTheControls(t *testing.T) {
	inBubble(t, emulate.DigitalOceanOptions{Token: "secret"}, func(c cloud) {
		h := c.world.Controls(c.do, c.do.Destroy)
		for token, want := range map[string]int{"secret": 200, "other": 401} {
			r := httptest.NewRequest("GET", "/v2/droplets", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			if rec.Code != want {
				c.Errorf("with the token %s it answers %d", token, rec.Code)
			}
		}
	})
}

func TestAMachineIsDestroyedBehindEverybodysBack(t *testing.T) {
	inCompute(t, webGroup(emulate.ComputeGroup{Size: 1}), func(g gce) {
		do := emulate.NewDigitalOcean(g.world, emulate.DigitalOceanOptions{})
		do.AddStranger("web-1")
		for name, h := range map[string]http.Handler{
			"web-1":                     g.world.Controls(do, do.Destroy),
			g.cloud.Instances()[0].Name: g.world.Controls(g.cloud, g.cloud.DeleteByHand),
		} {
			for name, want := range map[string]int{name: 200, "web-99": 404} {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest("DELETE", "/emulator/machines/"+name, nil))
				if rec.Code != want || !strings.Contains(rec.Body.String(), name) {
					g.Errorf("%s: %d %s", name, rec.Code, rec.Body)
				}
			}
		}
		if ms := do.Droplets(); !ms[0].Ending {
			g.Errorf("the Droplet stays: %+v", ms)
		}
		if i := g.cloud.Instances()[0]; i.Status != "STOPPING" {
			g.Errorf("the instance stays: %+v", i)
		}
	})
}
