package query

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"flyball/rules"
)

// mostAnswer bounds an answer, in bytes.
const mostAnswer = 1 << 20

// An asker asks one question. It is not safe for concurrent use.
type asker struct {
	search Search
	q      rules.Elastic
	now    func() time.Time

	checked time.Time // when the fields were looked at last
	wrong   error     // what is wrong with them
}

// ask asks once. members are the pool's present ones; nil if they are not known.
func (a *asker) ask(ctx context.Context, members []string) (rules.Reading, error) {
	if members != nil && len(members) == 0 {
		return rules.Reading{}, nothing("the pool has no members")
	}
	if a.q.Body != "" {
		return a.askRaw(ctx, members)
	}
	now := a.now()
	body, err := simpleSearch(a.q, members, now, timeLeft(ctx))
	if err != nil {
		return rules.Reading{}, failf(unreadable, "make the search: %w", err)
	}
	r, err := a.askSimple(ctx, body, now)
	if wrong := a.fields(ctx, err); wrong != nil {
		return rules.Reading{}, wrong
	}
	return r, err
}

// timeLeft is what Elasticsearch may take of the time until ctx is done.
func timeLeft(ctx context.Context) time.Duration {
	left := mostAsk
	if end, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(end))
	}
	return max(left*4/5, 100*time.Millisecond)
}

func (a *asker) askSimple(ctx context.Context, body []byte, now time.Time) (rules.Reading, error) {
	answer, err := a.do(ctx, http.MethodPost, searchPath(a.q.Index, url.Values{}), body)
	if err != nil {
		return rules.Reading{}, err
	}
	return readSimple(answer, a.q, now)
}

// askRaw asks the user's own search. Elasticsearch was not told of the members, so
// what it says of others is left out here.
func (a *asker) askRaw(ctx context.Context, members []string) (rules.Reading, error) {
	options, err := rawOptions(a.q, timeLeft(ctx))
	if err != nil {
		return rules.Reading{}, failf(unreadable, "make the search: %w", err)
	}
	answer, err := a.do(ctx, http.MethodPost, searchPath(a.q.Index, options), []byte(a.q.Body))
	if err != nil {
		return rules.Reading{}, err
	}
	return readRaw(answer, a.q, members, a.now())
}

// do sends one request; its errors are failures.
func (a *asker) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	answer, err := a.search.Do(ctx, method, path, body)
	if err != nil {
		return nil, failed(ctx, a.q.Index, err)
	}
	if len(answer) > mostAnswer {
		return nil, failf(tooLarge, "it answers with more than 1 MB: write size: 0, and ask for fewer entries")
	}
	return answer, nil
}

// recheck is how long what is known of the fields counts while nothing is read.
const recheck = time.Minute

// fields says what is wrong with the fields of a question, if something is. They
// are looked at once, because Elasticsearch averages a counter without a word, and
// again while nothing is answered: a field that no document has is no error to it.
func (a *asker) fields(ctx context.Context, err error) error {
	silent := err != nil && (causeOf(err) == noData || causeOf(err) == refused)
	if err != nil && !silent {
		return nil
	}
	if !a.checked.IsZero() && (!silent && a.wrong == nil || a.now().Sub(a.checked) < recheck) {
		return a.wrong
	}
	path := "/" + url.PathEscape(a.q.Index) + "/_field_caps?" + url.Values{"fields": {a.q.Field + "," + a.q.By + ",@timestamp"}}.Encode()
	answer, failure := a.do(ctx, http.MethodGet, path, nil)
	switch {
	case failure == nil:
		a.wrong = checkFields(answer, a.q)
	case causeOf(failure) == refused:
		a.wrong = nil // it may not be asked so; the search says itself what it lacks
	case silent:
		return nil
	default:
		return failure
	}
	a.checked = a.now()
	return a.wrong
}
