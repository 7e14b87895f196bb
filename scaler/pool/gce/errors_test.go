package gce

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"flyball/scaler"
)

func TestGooglesCodesAreSortedByWhatTheyMean(t *testing.T) {
	for code, want := range map[string]class{
		"QUOTA_EXCEEDED":                            quota,
		"quotaExceeded":                             quota,
		"GPUS_ALL_REGIONS_QUOTA":                    quota,
		"RESOURCE_POOL_EXHAUSTED":                   stockOut,
		"ZONE_RESOURCE_POOL_EXHAUSTED":              stockOut,
		"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": stockOut,
		"INSUFFICIENT_CAPACITY":                     stockOut,
		"IP_SPACE_EXHAUSTED":                        addresses,
		"IP_SPACE_EXHAUSTED_WITH_DETAILS":           addresses,
		"PERMISSIONS_ERROR":                         permission,
		"RESOURCE_NOT_FOUND":                        other,
		"":                                          other,
	} {
		if got := classOf(code); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
		none := want == quota || want == stockOut || want == addresses
		if errors.Is(failure{want, code, ""}, scaler.ErrNoCapacity) != none {
			t.Errorf("%s: is no capacity: %v, want %v", code, !none, none)
		}
	}
}

func TestTheWantOfCapacityHasTheFirstWord(t *testing.T) {
	m := &compute.ManagedInstance{LastAttempt: &compute.ManagedInstanceLastAttempt{Errors: &compute.ManagedInstanceLastAttemptErrors{
		Errors: []*compute.ManagedInstanceLastAttemptErrorsErrors{nil, {Code: "RESOURCE_NOT_FOUND"}, {Code: "ZONE_RESOURCE_POOL_EXHAUSTED", Message: "none\n left"}},
	}}}
	f, failed := attempted(m)
	if !failed || f.class != stockOut || !strings.HasPrefix(f.Error(), "ZONE_RESOURCE_POOL_EXHAUSTED: none left (the zone is sold out") {
		t.Errorf("the attempt failed: %v, for %q", failed, f)
	}
}

func TestAnOperationIsReadForItsErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   compute.Operation
		want string
	}{
		{"under way", compute.Operation{Status: "RUNNING", HttpErrorStatusCode: 400}, ""},
		{"done", compute.Operation{Status: "DONE"}, ""},
		{"its own error", compute.Operation{Status: "DONE", Error: &compute.OperationError{Errors: []*compute.OperationErrorErrors{{Code: "X", Message: "y"}}}}, "X: y"},
		{"an error without a word", compute.Operation{Status: "DONE", Error: &compute.OperationError{}}, "operation failed: 0"},
		{"a status", compute.Operation{Status: "DONE", HttpErrorStatusCode: 409, HttpErrorMessage: "CONFLICT"}, "CONFLICT: 409"},
	} {
		got := ""
		if err := opened(&tt.op); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTooManyRequestsWaitForTheNextMinute(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 20, 0, time.UTC)
	refused := func(code int, reason, after string) error {
		e := &googleapi.Error{Code: code, Header: http.Header{}, Errors: []googleapi.ErrorItem{{Reason: reason}}}
		if after != "" {
			e.Header.Set("Retry-After", after)
		}
		return e
	}
	for _, tt := range []struct {
		err  error
		want time.Duration // 0: they do not wait
	}{
		{refused(403, "rateLimitExceeded", ""), 40 * time.Second},
		{refused(403, "userRateLimitExceeded", ""), 40 * time.Second},
		{refused(429, "", "7"), 7 * time.Second},
		{refused(429, "", "a while"), 40 * time.Second},
		{refused(429, "", "86400"), 40 * time.Second},
		{refused(403, "forbidden", ""), 0},
		{refused(403, "quotaExceeded", ""), 0},
		{errors.New("broken pipe"), 0},
	} {
		until, waits := throttled(tt.err, now)
		if waits != (tt.want > 0) || waits && until.Sub(now) != tt.want {
			t.Errorf("%v: waits %v until %s, want %s", tt.err, waits, until, tt.want)
		}
	}
}

func FuzzAnErrorOfGooglesIsOneLineThatSaysWhatToDo(f *testing.F) {
	f.Add(403, "rateLimitExceeded", "Quota exceeded for quota metric 'Queries'", "")
	f.Add(409, "alreadyExists", "The resource\nexists", "12")
	f.Add(0, "", "", "-1")
	f.Fuzz(func(t *testing.T, code int, reason, message, after string) {
		e := &googleapi.Error{Code: code, Message: message, Header: http.Header{"Retry-After": {after}}, Errors: []googleapi.ErrorItem{{Reason: reason}}}
		p := &Pool{name: "web", cfg: Config{Project: "shop-12345", Zone: "europe-west3-a", Group: "web"}.withDefaults()}
		text := p.explain("look", e).Error()
		if !strings.HasPrefix(text, "look") || strings.Contains(clip(message), "\n") || len(clip(message)) > 203 {
			t.Errorf("the error is %q", text)
		}
		now := time.Unix(1e9, 0)
		if until, waits := throttled(e, now); waits && (!until.After(now) || until.Sub(now) > 5*time.Minute) {
			t.Errorf("waits until %s", until)
		}
		g := failure{classOf(reason), reason, message}
		if g.class.none() != errors.Is(g, scaler.ErrNoCapacity) {
			t.Errorf("%v is of class %s", g, g.class)
		}
	})
}
