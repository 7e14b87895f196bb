package query

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"flyball/collector/elastic/cluster"
	"flyball/rules"
)

// A cause is why an ask failed, in one word: the label of the metric.
type cause string

const (
	noData      cause = "no_data"     // no document
	partial     cause = "partial"     // a part answered
	timedOut    cause = "timeout"     // nothing came in time
	unreachable cause = "unreachable" // no connection, or one that broke off
	unavailable cause = "unavailable" // 429 and 5xx
	refused     cause = "refused"     // any other status that is no success
	unfit       cause = "field"       // a field that is not there, or cannot be folded
	unreadable  cause = "answer"      // an answer that is not one to the question
	tooLarge    cause = "too_large"   // an answer over the bound
)

func causes() []cause {
	return []cause{noData, partial, timedOut, unreachable, unavailable, refused, unfit, unreadable, tooLarge}
}

// A failure is an ask that brought no answer.
type failure struct {
	cause cause
	err   error
}

// Error says what is wrong and what to do.
func (f *failure) Error() string { return "query Elasticsearch: " + f.err.Error() }

// Unwrap is the error itself.
func (f *failure) Unwrap() error { return f.err }

func failf(c cause, format string, args ...any) error {
	return &failure{c, fmt.Errorf(format, args...)}
}

// nothing is an answer without documents.
func nothing(format string, args ...any) error {
	return &failure{noData, fmt.Errorf("%w: "+format, append([]any{rules.ErrNoData}, args...)...)}
}

// causeOf is an error's.
func causeOf(err error) cause {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.cause
	}
	return unreachable
}

// failed is a request that did not succeed.
func failed(ctx context.Context, index string, err error) error {
	status, ok := errors.AsType[*cluster.StatusError](err)
	if !ok {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			return failf(timedOut, "no answer in time: make the search cheaper, or every longer")
		}
		return &failure{unreachable, err}
	}
	told := status.Reason
	if told == "" {
		told = fmt.Sprintf("status %d %s", status.Status, http.StatusText(status.Status))
	}
	switch {
	case status.Type == "index_not_found_exception":
		return failf(refused, "%s: see index, and whether its shipper runs", told)
	case status.Status == http.StatusUnauthorized:
		return failf(refused, "it does not know us: check api_key_file, or username and password_file")
	case status.Status == http.StatusForbidden:
		return failf(refused, "%s may not be read: give the key or the user the privilege read on it", index)
	case status.Type == "search_timeout_exception":
		return failf(timedOut, "%s: make the search cheaper, or every longer", told)
	case status.Type == "search_phase_execution_exception" && status.Status >= 500:
		return failf(partial, "a part of %s did not answer: %s", index, told)
	case status.Type == "search_phase_execution_exception":
		return failf(refused, "%s: see the filter, or the body", told)
	case status.Status >= 500, status.Status == http.StatusTooManyRequests:
		return failf(unavailable, "%s", told)
	}
	return failf(refused, "%s", told)
}
