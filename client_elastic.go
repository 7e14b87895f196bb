package main

import (
	"fmt"
	"strings"
	"time"

	"flyball/collector/elastic"
)

// printElastic says in one line how far Elasticsearch is supplied, and below it what is
// the matter and what to do; nothing if none is configured.
func printElastic(w sheet, st overview) {
	e := st.Elasticsearch
	if e == nil {
		return
	}
	fmt.Fprintln(w, w.cut(printable(supplied(*e, st.Now))))
	for _, of := range []func(elastic.Status, time.Time) []string{hindered, missed, graves, failing, foreign} {
		for _, trouble := range of(*e, st.Now) {
			for _, line := range w.fold("elasticsearch " + printable(trouble)) {
				fmt.Fprintln(w, w.cut(line))
			}
		}
	}
}

// supplied is where it is and how far each part is; what matters least comes last,
// where the line may be cut.
func supplied(e elastic.Status, now time.Time) string {
	far := []string{"no samples sent"}
	if !e.Samples.Cursor.IsZero() {
		far[0] = ago(e.Samples.Lag) + " behind"
	}
	if e.Views.Views > 0 {
		far = append(far, "views "+ago(e.Views.Lag))
	}
	if e.Events.Behind > 0 {
		far = append(far, fmt.Sprintf("%d events wait", e.Events.Behind))
	}
	return fmt.Sprintf("elasticsearch %s %s   %s   %d documents", whereabouts(e.Cluster.URLs), standing(e, now), strings.Join(far, ", "), e.Cluster.Created)
}

// mostAddress is how many characters of an address are shown.
const mostAddress = 32

// whereabouts is the first address, and how many there are beside it.
func whereabouts(urls []string) string {
	if len(urls) == 0 {
		return ""
	}
	_, where, _ := strings.Cut(urls[0], "://")
	if r := []rune(where); len(r) > mostAddress {
		where = string(r[:mostAddress-1]) + "…"
	}
	if len(urls) > 1 {
		where += fmt.Sprintf(" +%d", len(urls)-1)
	}
	return where
}

// standing is whether anything can be sent.
func standing(e elastic.Status, now time.Time) string {
	switch {
	case e.Cluster.Since.IsZero():
		return "not asked yet"
	case !e.Cluster.Reachable:
		return "down " + span(now.Sub(e.Cluster.Since))
	case e.Unready != "":
		return "not ready"
	}
	return "up"
}

// ago is a number of seconds as people read it.
func ago(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) }

// hindered says why nothing is sent at present, or, for an hour, what it was.
func hindered(e elastic.Status, now time.Time) (all []string) {
	c := e.Cluster
	switch {
	case c.Since.IsZero():
		return nil
	case !c.Reachable:
		return []string{"is not reached: " + c.Error + ". What is to be sent waits in the store; see `flyball doctor`"}
	case e.Unready != "":
		again := ""
		if !e.Again.IsZero() {
			again = "; tried again in " + span(e.Again.Sub(now))
		}
		return []string{"is not ready, and nothing is sent: " + e.Unready + again + "; see `flyball doctor`"}
	}
	if e.Samples.Error != "" {
		all = append(all, "gets no samples for now: "+e.Samples.Error)
	}
	if e.Events.Error != "" {
		all = append(all, "gets no events for "+span(now.Sub(e.Events.Since))+": "+e.Events.Error)
	}
	if len(all) == 0 && c.Error != "" && now.Sub(c.ErrorAt) < time.Hour {
		all = append(all, "failed "+span(now.Sub(c.ErrorAt))+" ago, and works again: "+c.Error)
	}
	return all
}

// missed says what was not sent in time, and will not be.
func missed(e elastic.Status, _ time.Time) (all []string) {
	if l := e.Samples.Lost; l.Samples > 0 || l.Seconds > 0 {
		what := "samples of " + ago(l.Seconds)
		if l.Samples > 0 {
			what = fmt.Sprintf("%s, %d and more", what, l.Samples)
		}
		all = append(all, "lacks "+what+", for good: it was away for longer than the store keeps samples, or than it takes them (7d)")
	}
	if e.Views.Skipped > 0 {
		all = append(all, "lacks datasets of "+ago(e.Views.Skipped)+", for good: it was away for longer than it takes them (7d)")
	}
	if e.Events.Lost > 0 {
		all = append(all, fmt.Sprintf("lacks %d events, for good: the journal had given them up", e.Events.Lost))
	}
	return all
}

// graves says what Elasticsearch refused for good.
func graves(e elastic.Status, _ time.Time) []string {
	if e.Cluster.Buried == 0 {
		return nil
	}
	return []string{fmt.Sprintf("refused %d documents, which are in %s; see `flyball doctor`", e.Cluster.Buried, e.Cluster.Letters)}
}

// mostFailing is how many expressions that fail are named.
const mostFailing = 3

// failing says which datasets are not whole, and for an hour what else was wrong with them.
func failing(e elastic.Status, now time.Time) (all []string) {
	for i, f := range e.Views.Failing {
		if i == mostFailing {
			all = append(all, fmt.Sprintf("lacks %d more fields of views that fail: see `flyball status --json`", len(e.Views.Failing)-i))
			break
		}
		all = append(all, "lacks a field, as its view fails: "+f)
	}
	if e.Views.Error != "" && now.Sub(e.Views.ErrorAt) < time.Hour {
		all = append(all, "had trouble with views "+span(now.Sub(e.Views.ErrorAt))+" ago: "+e.Views.Error)
	}
	return all
}

// foreign says what of others' was left alone, and what gets nothing because of that.
func foreign(e elastic.Status, _ time.Time) (all []string) {
	for _, x := range e.Left {
		all = append(all, "left alone "+x)
	}
	if len(e.Blocked) > 0 {
		all = append(all, "is sent nothing for "+strings.Join(e.Blocked, ", "))
	}
	return all
}
