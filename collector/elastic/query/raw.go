package query

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"flyball/rules"
)

// readRaw reads the answer to a search of the user's own along its paths. members
// are those that count; nil: all.
func readRaw(b []byte, q rules.Elastic, members []string, now time.Time) (rules.Reading, error) {
	var h head
	var answer any
	for _, into := range []any{&h, &answer} {
		if err := json.Unmarshal(b, into); err != nil {
			return rules.Reading{}, failf(unreadable, "read the answer: %w", err)
		}
	}
	if err := h.whole(q.Index); err != nil {
		return rules.Reading{}, err
	}
	p, err := parsePaths(q)
	if err != nil {
		return rules.Reading{}, err
	}
	r := reader{now: now}
	if list, entry, ok := p.value.Each(); ok {
		p.value = entry
		err = p.each(&r, list, answer, members)
	} else {
		err = p.one(&r, answer)
	}
	switch {
	case err != nil:
		return rules.Reading{}, err
	case len(r.Points) == 0:
		return rules.Reading{}, nothing("the answer has no value with a time")
	}
	return r.done(), nil
}

// paths lead to what counts: from the top of the answer, or from a list's entry.
type paths struct {
	value, time rules.Path
	member      rules.Path // only in a list
}

func parsePaths(q rules.Elastic) (p paths, err error) {
	for _, x := range []struct {
		name, text string
		into       *rules.Path
	}{{"value_path", q.ValuePath, &p.value}, {"time_path", q.TimePath, &p.time}, {"member_path", q.MemberPath, &p.member}} {
		if x.text == "" && x.name == "member_path" {
			continue
		}
		if *x.into, err = rules.ParsePath(x.text); err != nil {
			return p, failf(unreadable, "read %s: %w", x.name, err)
		}
	}
	return p, nil
}

// one reads the pool's one value.
func (p paths) one(r *reader, answer any) error {
	v, err := p.value.In(answer)
	if err != nil {
		return failf(unreadable, "value_path: %w", err)
	}
	t, err := p.time.In(answer)
	if err != nil {
		return failf(unreadable, "time_path: %w", err)
	}
	return p.add(r, "", v, t)
}

// each reads one value for each entry of a list. An entry without a value or a
// time was not heard; a list that was cut short is no answer.
func (p paths) each(r *reader, list rules.Path, answer any, members []string) error {
	found, err := list.In(answer)
	if err != nil {
		return failf(unreadable, "value_path: %w", err)
	}
	entries, ok := found.([]any)
	if !ok {
		return failf(unreadable, "value_path: %s is no list", list)
	}
	if others, err := list.Beside("sum_other_doc_count").In(answer); err == nil {
		if n, ok := others.(float64); ok && n > 0 {
			return failf(partial, "%s leaves members out: give it a size that all fit into", list)
		}
	}
	for _, e := range entries {
		m, err := p.member.In(e)
		if err != nil {
			return failf(unreadable, "member_path: %w", err)
		}
		name, ok := m.(string)
		if !ok || name == "" {
			return failf(unreadable, "member_path: %s is no name", p.member)
		}
		if members != nil && !slices.Contains(members, name) {
			continue
		}
		v, errValue := p.value.In(e)
		t, errTime := p.time.In(e)
		if errValue != nil || errTime != nil {
			continue
		}
		if err := p.add(r, name, v, t); err != nil {
			return err
		}
	}
	return nil
}

// add takes what was found for one member, or "" for the pool.
func (p paths) add(r *reader, member string, value, when any) error {
	if value == nil || when == nil {
		return nil
	}
	v, ok := value.(float64)
	if !ok {
		return failf(unreadable, "value_path: %s is no number", p.value)
	}
	t, ok := timeOf(when)
	if !ok {
		return failf(unreadable, "time_path: %s is no time: write milliseconds since the epoch, or 2026-11-21T10:00:00Z", p.time)
	}
	r.ahead(member, t)
	return r.add(member, &v, t)
}

// timeOf reads a time: milliseconds since the epoch, as a number or as text, or a
// date as Elasticsearch writes them.
func timeOf(v any) (time.Time, bool) {
	ms, ok := v.(float64)
	if text, is := v.(string); is {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t.UTC(), true
		}
		f, err := strconv.ParseFloat(text, 64)
		ms, ok = f, err == nil
	}
	if !ok || !(ms > 0 && ms < 1e14) { // until the year 5138
		return time.Time{}, false
	}
	return time.UnixMilli(int64(ms)).UTC(), true
}
