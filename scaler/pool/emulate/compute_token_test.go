package emulate_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/option"

	"flyball/scaler/pool/emulate"
)

// credentials are a service account's, known to the project.
func credentials(t *testing.T, c *emulate.Compute, endpoint string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.json")
	if err := c.WriteCredentials(file, endpoint); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file is %v, %v", info.Mode(), err)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// account is a client that asks for its tokens.
func account(t *testing.T, key []byte, next http.RoundTripper, endpoint string) *compute.Service {
	t.Helper()
	conf, err := google.JWTConfigFromJSON(key, compute.ComputeScope)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: next})
	api, err := compute.NewService(ctx, option.WithHTTPClient(conf.Client(ctx)), option.WithEndpoint(endpoint+"/compute/v1/"))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestAServiceAccountGetsTokensThatExpire(t *testing.T) {
	const endpoint = "http://gce.test"
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{})
		c := emulate.NewCompute(w, emulate.ComputeOptions{Token: "other"})
		api := account(t, credentials(t, c, endpoint), c.Transport(), endpoint)
		for range 3 {
			if _, err := api.InstanceGroupManagers.Get(project, zone, "web").Do(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Minute)
		}
		tokens := 0
		for _, r := range w.Requests() {
			if strings.HasSuffix(r.URL, "/token") {
				tokens++
			}
			if strings.Contains(r.URL, "ya29") {
				t.Errorf("a token in %s", r.URL)
			}
		}
		if tokens != 2 {
			t.Errorf("%d tokens in two hours, want 2", tokens)
		}
	})
}

func TestAKeyThatIsNotKnownGetsNoToken(t *testing.T) {
	const endpoint = "http://gce.test"
	synctest.Test(t, func(t *testing.T) {
		w := emulate.NewWorld(emulate.Options{})
		c := emulate.NewCompute(w, emulate.ComputeOptions{Token: "secret"})
		other := emulate.NewCompute(emulate.NewWorld(emulate.Options{}), emulate.ComputeOptions{})
		_, err := account(t, credentials(t, other, endpoint), c.Transport(), endpoint).InstanceGroupManagers.Get(project, zone, "web").Do()
		if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("a key that is not known: %v", err)
		}
		var key map[string]string
		if err := json.Unmarshal(credentials(t, c, endpoint), &key); err != nil {
			t.Fatal(err)
		}
		key["client_email"] = "other@emulated.iam.gserviceaccount.com"
		forged, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = account(t, forged, c.Transport(), endpoint).InstanceGroupManagers.Get(project, zone, "web").Do()
		if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("another account: %v", err)
		}
	})
}

func TestOnlyTheWorldsTokensAreGood(t *testing.T) {
	for token, isGood := range map[string]bool{"secret": true, "stolen": false, "": false} {
		synctest.Test(t, func(t *testing.T) {
			c := emulate.NewCompute(emulate.NewWorld(emulate.Options{}), emulate.ComputeOptions{Token: "secret"})
			api, err := compute.NewService(context.Background(), option.WithHTTPClient(&http.Client{Transport: bearer{c.Transport(), token}}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = api.InstanceGroupManagers.Get(project, zone, "web").Do()
			if isGood && err != nil {
				t.Error(err)
			}
			if !isGood {
				gce{T: t}.refused(err, 401, "authError")
			}
		})
	}
}

func TestComputeIsServedOnASocketToo(t *testing.T) {
	w := emulate.NewWorld(emulate.Options{})
	c := emulate.NewCompute(w, emulate.ComputeOptions{})
	server := httptest.NewServer(c)
	defer server.Close()
	api := account(t, credentials(t, c, server.URL), server.Client().Transport, server.URL)
	o, err := api.InstanceGroupManagers.CreateInstances(project, zone, "web", instances("web-1")).Do()
	if err != nil {
		t.Fatal(err)
	}
	w.Plant(emulate.Fault{Name: "lost_before", On: "GET"})
	if _, err := api.InstanceGroupManagers.Get(project, zone, "web").Do(); err == nil {
		t.Error("a lost answer came")
	}
	w.Heal()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o, err = api.ZoneOperations.Wait(project, zone, o.Name).Context(ctx).Do()
	if err != nil || o.Status != "DONE" || o.Error != nil {
		t.Errorf("waited: %+v, %v", o, err)
	}
}

func TestAnExpiredTokenIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := emulate.NewCompute(emulate.NewWorld(emulate.Options{}), emulate.ComputeOptions{})
		conf, err := google.JWTConfigFromJSON(credentials(t, c, "http://gce.test"), compute.ComputeScope)
		if err != nil {
			t.Fatal(err)
		}
		token, err := conf.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: c.Transport()})).Token()
		if err != nil {
			t.Fatal(err)
		}
		api, err := compute.NewService(context.Background(), option.WithHTTPClient(&http.Client{Transport: bearer{c.Transport(), token.AccessToken}}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.InstanceGroupManagers.Get(project, zone, "web").Do(); err != nil {
			t.Error(err)
		}
		time.Sleep(61 * time.Minute)
		_, err = api.InstanceGroupManagers.Get(project, zone, "web").Do()
		gce{T: t}.refused(err, 401, "authError")
	})
}
