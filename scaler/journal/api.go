package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"flyball/rules"
)

// maxRows bounds the entries or ticks of one answer.
const maxRows = 1000

// nearEnough is how far from the wanted time a kept tick may be to stand for it.
const nearEnough = 5 * time.Minute

// Page is the answer of /decisions and /entries.
type Page struct {
	Entries []Entry `json:"entries"`
	More    bool    `json:"more,omitempty"` // there are more than the limit
}

// TickPage is the answer of /ticks, oldest first.
type TickPage struct {
	Ticks []Tick    `json:"ticks"`
	Next  time.Time `json:"next,omitzero"` // the `from` of the rest, if there is more
}

// Told is the answer of /pools/{pool}/explain and of /decisions/{id}.
type Told struct {
	Decision rules.Decision `json:"decision"`
	Entry    *Entry         `json:"entry,omitempty"` // the decision's own, if it wrote one
	Tick     *Tick          `json:"tick,omitempty"`  // nil if its retention is over
	Exact    bool           `json:"exact"`           // false: the kept judgement nearest to the one asked for
	Steps    []StepTold     `json:"steps"`           // the pool's last ones, or those of this decision; newest first
}

// Problem is an error as RFC 9457 has it.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Tell answers a request with a problem.
func Tell(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	p := Problem{Title: http.StatusText(status), Status: status, Detail: detail}
	_ = json.NewEncoder(w).Encode(p) // the asker may have gone
}

// A requestError is the asker's mistake.
type requestError struct {
	status int
	text   string
}

func (e *requestError) Error() string { return e.text }

func bad(format string, args ...any) error {
	return &requestError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func absent(format string, args ...any) error {
	return &requestError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

// Handler serves what the journal knows, for reading, as JSON. Under
// /api/flyball/v1:
//
//	GET /decisions?since=&until=&pool=&limit=   decision entries, newest first
//	GET /decisions/{id}                         one, with its inputs and steps
//	GET /pools/{pool}/explain                   the last judgement, with its inputs, and the last steps
//	GET /entries?after=&limit=                  entries of every kind, oldest first
//	GET /ticks?pool=&from=&to=&limit=           kept judgements, oldest first
//
// Times are RFC 3339 or seconds since 1970. At most 1000 rows are answered.
func (j *Journal) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /api/flyball/v1/decisions", answer(j.getDecisions))
	mux.Handle("GET /api/flyball/v1/decisions/{id}", answer(j.getDecision))
	mux.Handle("GET /api/flyball/v1/pools/{pool}/explain", answer(j.getExplain))
	mux.Handle("GET /api/flyball/v1/entries", answer(j.getEntries))
	mux.Handle("GET /api/flyball/v1/ticks", answer(j.getTicks))
	mux.Handle("/", answer(func(r *http.Request) (any, error) {
		return nil, absent("no such resource: %s %s", r.Method, r.URL.Path)
	}))
	return mux
}

// answer writes what f returns, or its error as a problem.
func answer(f func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := f(r)
		if e, ok := errors.AsType[*requestError](err); ok {
			Tell(w, e.status, e.Error())
			return
		}
		text, err2 := json.Marshal(body)
		if err := errors.Join(err, err2); err != nil {
			Tell(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(append(text, '\n')) //nolint:errcheck // the asker has gone
	})
}

func (j *Journal) getDecisions(r *http.Request) (any, error) {
	f := Filter{Kinds: []Kind{Decision}}
	q := r.URL.Query()
	if pool := q.Get("pool"); pool != "" {
		f.Target = target(pool)
	}
	var err error
	if f.Since, err = timeArg(q, "since", time.Time{}); err != nil {
		return nil, err
	}
	if f.Until, err = timeArg(q, "until", time.Time{}); err != nil {
		return nil, err
	}
	return j.page(f, q)
}

func (j *Journal) getEntries(r *http.Request) (any, error) {
	q := r.URL.Query()
	after, err := intArg(q, "after", 0)
	if err != nil {
		return nil, err
	}
	return j.page(Filter{After: Seq(after), Oldest: true}, q)
}

func (j *Journal) page(f Filter, q url.Values) (any, error) {
	limit, err := limitArg(q)
	if err != nil {
		return nil, err
	}
	f.Limit = limit + 1
	es, err := j.Entries(f)
	if err != nil {
		return nil, err
	}
	p := Page{Entries: es[:min(len(es), limit)], More: len(es) > limit}
	if p.Entries == nil {
		p.Entries = []Entry{}
	}
	return p, nil
}

func (j *Journal) getTicks(r *http.Request) (any, error) {
	q := r.URL.Query()
	pool := q.Get("pool")
	if pool == "" {
		return nil, bad("say which pool: ?pool=web")
	}
	to, err := timeArg(q, "to", j.opts.Now())
	if err != nil {
		return nil, err
	}
	from, err := timeArg(q, "from", to.Add(-10*time.Minute))
	if err != nil {
		return nil, err
	}
	limit, err := limitArg(q)
	if err != nil {
		return nil, err
	}
	page := TickPage{Ticks: []Tick{}}
	for t, err := range j.Ticks(pool, from, to) {
		if err != nil {
			return nil, err
		}
		if len(page.Ticks) == limit {
			page.Next = t.Out.At
			break
		}
		page.Ticks = append(page.Ticks, t)
	}
	return page, nil
}

func (j *Journal) getExplain(r *http.Request) (any, error) {
	pool := r.PathValue("pool")
	t, ok, err := j.LastTick(pool)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, absent("pool %q was not judged within retention: is it in a *.scale.yaml file, and its name right?", pool)
	}
	told := Told{Decision: t.Out, Tick: &t, Exact: true}
	told.Steps, err = j.Steps(target(pool), 5)
	return told, err
}

// decisionID is pool and time, e.g. web-20261120T100015.250Z.
var decisionID = regexp.MustCompile(`^(.+)-(\d{8}T\d{6}(?:\.\d{1,9})?Z)$`)

func (j *Journal) getDecision(r *http.Request) (any, error) {
	id := r.PathValue("id")
	m := decisionID.FindStringSubmatch(id)
	if m == nil {
		return nil, bad("%q is no decision's ID: one is pool and time, e.g. web-20261120T100015.250Z", id)
	}
	at, err := time.Parse("20060102T150405Z", m[2])
	if err != nil {
		return nil, bad("%q is no decision's ID: %v", id, err)
	}
	told, err := j.tell(id, m[1], at)
	if err != nil {
		return nil, err
	}
	all, err := j.Steps(target(m[1]), 200)
	if err != nil {
		return nil, err
	}
	told.Steps = []StepTold{}
	for _, s := range all {
		if s.Step.Decision == told.Decision.ID {
			told.Steps = append(told.Steps, s)
		}
	}
	return told, nil
}

// tell finds a decision by its entry, its tick, or the tick nearest to its time.
func (j *Journal) tell(id, pool string, at time.Time) (Told, error) {
	var told Told
	es, err := j.Entries(Filter{ID: id, Kinds: []Kind{Decision}, Limit: 1})
	if err != nil {
		return told, err
	}
	if len(es) > 0 {
		told.Entry, told.Exact = &es[0], true
		if err := json.Unmarshal(es[0].Body, &told.Decision); err != nil {
			return told, fmt.Errorf("decode decision %s: %w", id, err)
		}
	}
	t, ok, err := j.near(pool, at)
	switch {
	case err != nil:
		return told, err
	case ok && t.Out.ID == id:
		told.Decision, told.Tick, told.Exact = t.Out, &t, true
	case told.Exact:
	case ok && t.Out.At.Sub(at).Abs() <= nearEnough:
		told.Decision, told.Tick = t.Out, &t
	default:
		return told, absent("no judgement of pool %q is kept within %v of %s", pool, nearEnough, at.Format(time.RFC3339))
	}
	return told, nil
}

func limitArg(q url.Values) (int, error) {
	n, err := intArg(q, "limit", 100)
	if err == nil && (n < 1 || n > maxRows) {
		err = bad("limit is %d and must be from 1 to %d", n, maxRows)
	}
	return int(n), err
}

func intArg(q url.Values, name string, unset int64) (int64, error) {
	s := q.Get(name)
	if s == "" {
		return unset, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, bad("%s=%q is no whole number", name, s)
	}
	return n, nil
}

func timeArg(q url.Values, name string, unset time.Time) (time.Time, error) {
	s := q.Get(name)
	if s == "" {
		return unset, nil
	}
	if secs, err := strconv.ParseFloat(s, 64); err == nil && secs >= 0 && secs < 1e10 {
		return time.Unix(0, int64(secs*1e9)).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return time.Time{}, bad("%s=%q is no time: write 2026-11-20T10:00:15Z, or seconds since 1970", name, s)
	}
	return t, nil
}
