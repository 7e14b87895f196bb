package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// decisionID is pool and time, e.g. web-20261120T100015.250Z.
var decisionID = regexp.MustCompile(`-\d{8}T\d{6}(\.\d+)?Z$`)

// explainCommand is `flyball explain [pool|decision]`.
func explainCommand(o *clientOptions) *cobra.Command {
	return usageOf(&cobra.Command{
		Use:   "explain [pool | decision]",
		Short: "Tell why a pool has the size it has: readings, rule, limits, refusals",
		Long: `Tell what was decided, from which readings, by which rule at which line, what
limited it, what was refused and why, and what each reason asks for.

Without an argument the last judgement of every pool is told; with a pool's name
that of the pool; with a decision's ID, as "flyball decisions" lists them, that one.`,
		ValidArgsFunction: o.completePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			paths, err := explained(cmd, c, args)
			if err != nil {
				return err
			}
			all := make([]journal.Told, len(paths))
			for i, p := range paths {
				if err := c.get(cmd.Context(), p, &all[i]); err != nil {
					return err
				}
			}
			var answer any = all
			if len(args) > 0 {
				answer = all[0]
			}
			return o.show(cmd.OutOrStdout(), answer, func(w sheet) error {
				if err := printTold(w, args, all); err != nil {
					return err
				}
				return printUnjudged(cmd.Context(), w, c, args)
			})
		},
	}, cobra.MaximumNArgs(1))
}

// printUnjudged says which of the pools that were told cannot be judged now, so that what
// was told is of the past.
func printUnjudged(ctx context.Context, w sheet, c *client, args []string) error {
	if len(args) > 0 && decisionID.MatchString(args[0]) {
		return nil
	}
	var st scaler.Status
	if err := c.get(ctx, "/status", &st); err != nil {
		return err
	}
	for _, p := range st.Pools {
		if p.Failing == "" || len(args) > 0 && p.Name != args[0] {
			continue
		}
		when := "was never judged, and cannot be now: "
		if !p.Judged.IsZero() {
			when = "was judged " + span(st.Now.Sub(p.Judged)) + " ago last, and cannot be judged now: "
		}
		fmt.Fprintln(w, "\n"+w.whole("pool "+p.Name+" "+when+printable(p.Failing)))
	}
	return nil
}

// explained lists what has to be asked for.
func explained(cmd *cobra.Command, c *client, args []string) ([]string, error) {
	if len(args) > 0 && decisionID.MatchString(args[0]) {
		return []string{"/decisions/" + url.PathEscape(args[0])}, nil
	}
	if len(args) > 0 {
		return []string{"/pools/" + url.PathEscape(args[0]) + "/explain"}, nil
	}
	var st scaler.Status
	if err := c.get(cmd.Context(), "/status", &st); err != nil {
		return nil, err
	}
	var paths []string
	for _, p := range st.Pools {
		if p.Decision != nil {
			paths = append(paths, "/pools/"+url.PathEscape(p.Name)+"/explain")
		}
	}
	return paths, nil
}

func printTold(w sheet, args []string, all []journal.Told) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no pool has been judged yet")
		return err
	}
	for i, t := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if !t.Exact && len(args) > 0 {
			fmt.Fprintf(w, "%s repeated the one before and was not kept.\nThis is the nearest that was:\n", args[0])
		}
		for line := range strings.Lines(t.Decision.Explain()) {
			fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n")))
		}
		if err := printSteps(w, t.Steps); err != nil {
			return err
		}
	}
	return nil
}

// printSteps prints what was done, the latest first.
func printSteps(w sheet, steps []journal.StepTold) error {
	rows := make([][]string, len(steps))
	for i, s := range steps {
		label := ""
		if i == 0 {
			label = "steps"
		}
		rows[i] = []string{fmt.Sprintf("%-8s", label), s.Begun.At.UTC().Format("01-02 15:04:05"), tellStep(s.Step), tellOutcome(s)}
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	printVictims(w, steps)
	for _, s := range steps { // whole, however long: it is what one looks for
		if s.Outcome != nil && !s.Outcome.OK {
			fmt.Fprintf(w, "failed    %s %s: %s\n", s.Begun.At.UTC().Format("15:04:05"), s.Step.Verb, printable(s.Outcome.Err))
		}
	}
	return nil
}

func tellStep(s journal.Step) string {
	going := namesOfVictims(s)
	switch {
	case s.Verb == journal.Swap && len(going) > 0 && len(s.Names) > 0:
		return string(s.Verb) + " " + firstOf(going, 2) + " by " + firstOf(s.Names, 2)
	case len(s.Names)+len(going) == 0:
		return string(s.Verb) + " to " + strconv.Itoa(s.To)
	}
	return string(s.Verb) + " " + firstOf(slices.Concat(s.Names, going), 3)
}

// firstOf joins the first of the names, and counts the others.
func firstOf(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		names = append(slices.Clone(names[:most]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// namesOfVictims are the names alone; a step of an earlier version may have IDs only.
func namesOfVictims(s journal.Step) []string {
	if len(s.Named) != len(s.Victims) {
		return s.Going()
	}
	var names []string
	for _, n := range s.Named {
		names = append(names, n.Name)
	}
	return names
}

// printVictims prints by what IDs the provider knows the steps' victims, where
// these are not their names.
func printVictims(w sheet, steps []journal.StepTold) {
	var known []string
	for _, s := range steps {
		for _, n := range s.Step.Named {
			if text := n.String(); text != n.Name && !slices.Contains(known, text) {
				known = append(known, text)
			}
		}
	}
	if len(known) == 0 {
		return
	}
	const label = "victims   "
	beside := w
	if w.columns > 0 {
		beside.columns = max(w.columns-len(label), len(label))
	}
	for i, line := range beside.fold(printable(strings.Join(known, ", "))) {
		shown := label
		if i > 0 {
			shown = strings.Repeat(" ", len(label))
		}
		fmt.Fprintln(w, shown+line)
	}
}

func tellOutcome(s journal.StepTold) string {
	switch {
	case s.Outcome == nil:
		return "has not ended"
	case !s.Outcome.OK:
		return "failed: see below"
	case s.Outcome.Resumed:
		return "done after a restart"
	default:
		return strings.TrimSuffix("done in "+s.Outcome.Took, " in ")
	}
}

// decisionsCommand is `flyball decisions`.
func decisionsCommand(o *clientOptions) *cobra.Command {
	var since, pool string
	limit := 100
	cmd := usageOf(&cobra.Command{
		Use:   "decisions",
		Short: "List the decisions that differed from the one before, the latest last",
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := o.past(since)
			if err != nil {
				return usage(err)
			}
			c, err := o.client()
			if err != nil {
				return err
			}
			q := url.Values{"since": {from.UTC().Format(time.RFC3339)}, "limit": {strconv.Itoa(limit)}}
			if pool != "" {
				q.Set("pool", pool)
			}
			var page journal.Page
			if err := c.get(cmd.Context(), "/decisions?"+q.Encode(), &page); err != nil {
				return err
			}
			return o.show(cmd.OutOrStdout(), page, func(w sheet) error { return printDecisions(w, page) })
		},
	}, cobra.NoArgs)
	cmd.Flags().StringVar(&since, "since", "24h", "how far back (1h, 7d), or a time (2026-11-20T10:00:00Z)")
	cmd.Flags().StringVar(&pool, "pool", "", "only this pool's")
	cmd.Flags().IntVar(&limit, "limit", limit, "at most so many, the latest; up to 1000")
	return cmd
}

// past reads a time that is a duration ago, or stands there.
func (o *clientOptions) past(s string) (time.Time, error) {
	if d, err := model.ParseDuration(s); err == nil {
		return o.now().Add(-time.Duration(d)), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("--since %q is neither a duration such as 1h nor a time such as 2026-11-20T10:00:00Z", s)
	}
	return t, nil
}

func printDecisions(w sheet, page journal.Page) error {
	if len(page.Entries) == 0 {
		_, err := fmt.Fprintln(w, "no decision changed in that time")
		return err
	}
	rows := [][]string{{"ID", "DECISION", "WHY"}}
	for _, e := range slices.Backward(page.Entries) {
		var d rules.Decision
		if err := json.Unmarshal(e.Body, &d); err != nil {
			return fmt.Errorf("read decision %s: %w", e.ID, err)
		}
		act, why, _ := strings.Cut(d.Line(), "   ")
		rows = append(rows, []string{d.ID, act, why})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	if page.More {
		_, err := fmt.Fprintf(w, "these are the latest %d; --limit shows more\n", len(page.Entries))
		return err
	}
	return nil
}
