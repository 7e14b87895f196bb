package emulate

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// An operation is something that was asked for and is done later: pending for up to
// a second, running for up to four, done. It takes effect when it begins to run.
// Assumed: the times.
type operation struct {
	id                uint64
	kind, target      string
	targetID          uint64
	in                place
	requestID         string
	born, runs, ended time.Time
	apply             func() *failure // nil: it was applied
	failure           *failure
}

// zeroUUID is the one that is refused as a request's id.
const zeroUUID = "00000000-0000-0000-0000-000000000000"

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// operate begins an operation on what is at target, or returns the one that was asked
// for by the same request id. An apply that can tell at once that it will not do is
// preceded by a check, which fails the request itself.
func (c *Compute) operate(r *http.Request, o operation, check func() error) (any, error) {
	o.requestID = r.URL.Query().Get("requestId")
	if o.requestID != "" {
		if !uuidPattern.MatchString(o.requestID) || o.requestID == zeroUUID {
			return nil, invalid("Invalid value for field 'requestId': '%s'. It must be a valid UUID.", o.requestID)
		}
		for _, had := range c.ops {
			if had.requestID == o.requestID && had.kind == o.kind && had.target == o.target {
				return c.showOperation(had), nil
			}
		}
	}
	if err := check(); err != nil {
		return nil, err
	}
	d := c.w.dice("operation " + o.target)
	o.id, o.born = c.id(), c.w.at
	o.runs = o.born.Add(between(d, 100*time.Millisecond, time.Second))
	o.ended = o.runs.Add(between(d, 500*time.Millisecond, 4*time.Second))
	c.ops = append(c.ops, &o)
	return c.showOperation(&o), nil
}

// runOperations applies those that are due. They are forgotten after a day; Google
// keeps them for two weeks.
func (c *Compute) runOperations() {
	for _, o := range c.ops {
		if o.apply != nil && c.w.due(o.runs) {
			o.failure, o.apply = o.apply(), nil
		}
	}
	for len(c.ops) > 0 && c.w.at.Sub(c.ops[0].born) > 24*time.Hour {
		c.ops = c.ops[1:]
	}
}

func (o *operation) name() string { return fmt.Sprintf("operation-%d-%x", o.born.UnixMilli(), o.id) }

// status is PENDING, RUNNING or DONE. It is done no sooner than it was applied.
func (o *operation) status(now time.Time) string {
	switch {
	case o.apply != nil:
		return "PENDING"
	case now.Before(o.ended):
		return "RUNNING"
	}
	return "DONE"
}

// showOperation writes an operation as the API does: an error is there only when it
// is done.
func (c *Compute) showOperation(o *operation) *compute.Operation {
	out := &compute.Operation{
		Kind: "compute#operation", Id: o.id, Name: o.name(), OperationType: o.kind, Status: o.status(c.w.at),
		TargetLink: o.target, TargetId: o.targetID, User: "flyball@" + c.o.Project + ".iam.gserviceaccount.com",
		InsertTime: stamp(o.born), SelfLink: c.link(o.in.String(), "operations", o.name()), ClientOperationId: o.requestID,
	}
	switch o.in.kind {
	case "zones":
		out.Zone = c.link(o.in.String())
	case "regions":
		out.Region = c.link(o.in.String())
	}
	if out.Status != "PENDING" {
		out.StartTime = stamp(o.runs)
	}
	if out.Status != "DONE" {
		return out
	}
	out.Progress, out.EndTime = 100, stamp(o.ended)
	if o.failure != nil {
		out.Error = &compute.OperationError{Errors: []*compute.OperationErrorErrors{{Code: o.failure.code, Message: o.failure.message}}}
		out.HttpErrorStatusCode, out.HttpErrorMessage = http.StatusBadRequest, "BAD REQUEST"
	}
	return out
}

// operation finds one by its name or its number; nil: there is none.
func (c *Compute) operation(name string) *operation {
	i := slices.IndexFunc(c.ops, func(o *operation) bool { return o.name() == name || fmt.Sprint(o.id) == name })
	if i < 0 {
		return nil
	}
	return c.ops[i]
}

// getOperation is that of both get and wait; see [Compute.door].
func (c *Compute) getOperation(r *http.Request) (any, error) {
	o, in := c.operation(r.PathValue("operation")), placeOf(r)
	if o == nil || o.in != in {
		return nil, notFound("projects/" + c.o.Project + "/" + in.String() + "/operations/" + r.PathValue("operation"))
	}
	return c.showOperation(o), nil
}

// await waits until an operation is done or unknown, for two minutes at most, of the
// clock that timers have.
func (c *Compute) await(ctx context.Context, name string) error {
	for range 240 {
		c.w.hold()
		o := c.operation(name)
		isDone := o == nil || o.status(c.w.at) == "DONE"
		c.w.mu.Unlock()
		if isDone {
			return nil
		}
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
