package gce

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"

	"flyball/scaler"
)

var (
	// ErrEnded means that a member of that name has ended, or is about to, and is
	// not gone yet.
	ErrEnded = errors.New("a member of that name has ended and is not gone yet")
	// ErrDrift means that somebody else resizes the group, too, or nobody does who
	// should.
	ErrDrift = errors.New("the group is not resized by whom the configuration declares")

	// ErrSelf means that Flyball itself runs on the member, which is never ended.
	ErrSelf = errors.New("this program runs on it")

	errPartial   = errors.New("the list is not believed")
	errThrottled = errors.New("too many requests a minute for the project")
)

// A class is what an error of Google's is about.
type class string

// The classes of errors. The first three mean that there is no capacity for now.
const (
	quota      class = "quota"
	stockOut   class = "stock_out"
	addresses  class = "addresses" // the network has no more
	permission class = "permission"
	other      class = "other"
)

// classes are all of them.
func classes() []class { return []class{quota, stockOut, addresses, permission, other} }

// classOf sorts the code of an error that a member in the making has, or an
// operation. (Cluster-autoscaler's driver for GCE sorts the same codes.)
func classOf(code string) class {
	code = strings.ToUpper(code)
	has := func(part string) bool { return strings.Contains(code, part) }
	switch {
	case has("QUOTA"):
		return quota
	case has("RESOURCE_POOL_EXHAUSTED"), has("INSUFFICIENT_CAPACITY"), has("STOCKOUT"):
		return stockOut
	case has("IP_SPACE_EXHAUSTED"):
		return addresses
	case has("PERMISSION"):
		return permission
	default:
		return other
	}
}

// none reports whether it means that there is no capacity for now.
func (c class) none() bool { return c == quota || c == stockOut || c == addresses }

// hint says what to do about it; "" where nothing can be said.
func (c class) hint() string {
	switch c {
	case quota:
		return "ask for a higher quota of the region, or lower the rule's max"
	case stockOut:
		return "the zone is sold out of this machine type: a regional group, another type or a reservation helps"
	case addresses:
		return "enlarge the subnetwork"
	case permission:
		return "give the group's service account, PROJECT_NUMBER@cloudservices.gserviceaccount.com, what the template needs"
	default:
		return ""
	}
}

// A failure is why something that was asked for does not come.
type failure struct {
	class   class
	code    string
	message string
}

func (f failure) Error() string {
	text := f.code
	if f.message != "" {
		text += ": " + clip(f.message)
	}
	if h := f.class.hint(); h != "" {
		text += " (" + h + ")"
	}
	return text
}

// Unwrap makes it [scaler.ErrNoCapacity] where it is.
func (f failure) Unwrap() error {
	if f.class.none() {
		return scaler.ErrNoCapacity
	}
	return nil
}

// clip keeps a message to one line that can be read.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= 200 {
		return s
	}
	return strings.ToValidUTF8(s[:200], "") + "..."
}

// attempted is why a member in the making was not made at the last attempt; false if
// it did not fail. What there is no capacity for has the first word.
func attempted(m *compute.ManagedInstance) (failure, bool) {
	if m.LastAttempt == nil || m.LastAttempt.Errors == nil {
		return failure{}, false
	}
	var all []failure
	for _, e := range m.LastAttempt.Errors.Errors {
		if e != nil {
			all = append(all, failure{classOf(e.Code), e.Code, e.Message})
		}
	}
	return weightiest(all)
}

// opened is what an operation ended with; nil if it did well, or has not ended.
func opened(op *compute.Operation) error {
	if op == nil || op.Status != "DONE" {
		return nil
	}
	var all []failure
	if op.Error != nil {
		for _, e := range op.Error.Errors {
			if e != nil {
				all = append(all, failure{classOf(e.Code), e.Code, e.Message})
			}
		}
	}
	if f, failed := weightiest(all); failed {
		return f
	}
	if op.Error != nil || op.HttpErrorStatusCode >= 400 {
		return failure{other, cmp.Or(op.HttpErrorMessage, "operation failed"), strconv.FormatInt(op.HttpErrorStatusCode, 10)}
	}
	return nil
}

func weightiest(all []failure) (failure, bool) {
	for _, c := range classes() {
		for _, f := range all {
			if f.class == c {
				return f, true
			}
		}
	}
	return failure{}, false
}

// explain says what failed where, and what to do. It keeps what callers branch on.
func (p *Pool) explain(what string, err error) error {
	var api *googleapi.Error
	var who *credentialsError
	switch {
	case errors.As(err, &who) && !p.isUnreached(err):
		return fmt.Errorf("%s: %w: write credentials_file, or give this machine a service account", what, who)
	case errors.Is(err, errPartial):
		return fmt.Errorf("%s: %w", what, err)
	case !errors.As(err, &api):
		return fmt.Errorf("%s: ask %s: %w", what, p.cfg.Endpoint, err)
	}
	why := answered(api)
	switch {
	case errors.Is(why, errThrottled):
		return fmt.Errorf("%s in project %s: %w: flyball waits for the next minute", what, p.cfg.Project, why)
	case api.Code == http.StatusUnauthorized:
		return fmt.Errorf("%s: the credentials are refused: %w: renew the service account's key", what, why)
	case api.Code == http.StatusForbidden && !errors.Is(why, scaler.ErrNoCapacity):
		return fmt.Errorf("%s: not permitted: %w: give the service account the role roles/compute.instanceAdmin.v1 on project %s", what, why, p.cfg.Project)
	case api.Code == http.StatusNotFound:
		return fmt.Errorf("%s: %w: see that %s exists, with the instances that are named", what, why, p.where())
	case api.Code == http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %w: Google's autoscaler may resize the group, too; see that mode: %s is true", what, why, p.cfg.Mode)
	default:
		return fmt.Errorf("%s: %w", what, why)
	}
}

// isUnreached reports whether nobody answered at all. Who has a key and gets no token for
// it has not reached Google; who has none and asks the machine has no credentials.
func (p *Pool) isUnreached(err error) bool {
	var who *credentialsError
	var line *net.OpError
	var asked *url.Error
	var said *googleapi.Error
	if errors.As(err, &who) {
		return p.cfg.CredentialsFile != "" && (errors.As(err, &line) || errors.Is(err, io.EOF))
	}
	return errors.As(err, &asked) && !errors.As(err, &said)
}

// answered is a refusal of the API's as an error without what the client adds to it.
func answered(e *googleapi.Error) error {
	reason := ""
	for _, item := range e.Errors {
		reason = cmp.Or(reason, item.Reason)
	}
	text := strings.TrimSpace(strconv.Itoa(e.Code) + " " + reason)
	switch {
	case e.Code == http.StatusTooManyRequests || reason == "rateLimitExceeded" || reason == "userRateLimitExceeded":
		return errThrottled
	case classOf(reason) == quota:
		return failure{quota, text, e.Message}
	default:
		return failure{other, text, e.Message}
	}
}

// throttled reports until when nothing should be asked: what the answer says, or
// the start of the next minute, when Google's quotas are refilled.
func throttled(err error, now time.Time) (time.Time, bool) {
	var api *googleapi.Error
	if !errors.As(err, &api) || !errors.Is(answered(api), errThrottled) {
		return time.Time{}, false
	}
	if s, err := strconv.Atoi(api.Header.Get("Retry-After")); err == nil && s > 0 && s <= 300 {
		return now.Add(time.Duration(s) * time.Second), true
	}
	return now.Truncate(time.Minute).Add(time.Minute), true
}
