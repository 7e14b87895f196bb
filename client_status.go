package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"flyball/rules"
	"flyball/scaler"
)

// statusCommand is `flyball status [pool]`.
func statusCommand(o *clientOptions) *cobra.Command {
	return usageOf(&cobra.Command{
		Use:               "status [pool]",
		Short:             "Show what every pool is doing, or one with its members",
		ValidArgsFunction: o.completePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			var st overview
			if err := c.get(cmd.Context(), "/status", &st); err != nil {
				return err
			}
			if len(args) == 0 {
				return o.show(cmd.OutOrStdout(), st, func(w sheet) error { return printStatus(w, c.address, st) })
			}
			i := slices.IndexFunc(st.Pools, func(p scaler.PoolStatus) bool { return p.Name == args[0] })
			if i < 0 {
				return &exitError{exitRefused, fmt.Errorf("refused: there is no pool %q%s", args[0], others(st.Status))}
			}
			return o.show(cmd.OutOrStdout(), st.Pools[i], func(w sheet) error { return printPool(w, st.Status, st.Pools[i]) })
		},
	}, cobra.MaximumNArgs(1))
}

// others names the pools that there are.
func others(st scaler.Status) string {
	if len(st.Pools) == 0 {
		return ": no pool is configured"
	}
	names := make([]string, len(st.Pools))
	for i, p := range st.Pools {
		names[i] = p.Name
	}
	return ": there are " + strings.Join(names, ", ")
}

func printStatus(w sheet, address string, st overview) error {
	head := "flyball " + st.Version
	if st.Site != "" {
		head += "   site " + st.Site
	}
	fmt.Fprintf(w, "%s   up %s   %s\n", head, span(st.Now.Sub(st.Started)), address)
	printElastic(w, st)
	if st.Paused.In(st.Now) {
		fmt.Fprintln(w, w.cut("all pools are paused "+tellOrder(st.Paused, st.Status)))
	}
	if len(st.Pools) == 0 {
		_, err := fmt.Fprintln(w, "no pools are configured")
		return err
	}
	fmt.Fprintln(w)
	rows := [][]string{{"POOL", "MODE", "MEMBERS", "RANGE", "JUDGED", "DECISION"}}
	for _, p := range st.Pools {
		rows = append(rows, []string{p.Name, mode(p), states(p.Members), bounds(p), judged(st.Status, p), decided(p)})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	return printOrders(w, st.Status)
}

func mode(p scaler.PoolStatus) string {
	if p.Rule == "" {
		return "no rule"
	}
	return string(p.Mode)
}

func bounds(p scaler.PoolStatus) string {
	if p.Rule == "" {
		return "-"
	}
	return strconv.Itoa(p.Min) + "-" + strconv.Itoa(p.Max)
}

func judged(st scaler.Status, p scaler.PoolStatus) string {
	if p.Judged.IsZero() {
		return "never"
	}
	return span(st.Now.Sub(p.Judged))
}

func decided(p scaler.PoolStatus) string {
	if p.Decision == nil {
		return "-"
	}
	return p.Decision.Line()
}

// states counts members by state, ready ones first.
func states(ms []rules.Member) string {
	n := map[rules.State]int{}
	for _, m := range ms {
		n[m.State]++
	}
	out := []string{strconv.Itoa(n[rules.Ready]) + " ready"}
	for _, s := range []rules.State{rules.Booting, rules.Draining, rules.Unhealthy, rules.Dead, rules.Leaving} {
		if n[s] > 0 {
			out = append(out, strconv.Itoa(n[s])+" "+string(s))
		}
	}
	return strings.Join(out, ", ")
}

// printOrders prints what is the matter with single pools, and what operators said of them.
func printOrders(w sheet, st scaler.Status) error {
	for _, p := range st.Pools {
		for _, s := range poolOrders(st, p) {
			if _, err := fmt.Fprintln(w, w.cut("pool "+p.Name+" "+s)); err != nil {
				return fmt.Errorf("print: %w", err)
			}
		}
	}
	return nil
}

func poolOrders(st scaler.Status, p scaler.PoolStatus) (all []string) {
	if p.Failing != "" {
		all = append(all, "cannot be judged: "+printable(p.Failing))
	}
	if p.Pause.In(st.Now) {
		all = append(all, "is paused "+tellOrder(p.Pause, st))
	}
	if p.Floor.In(st.Now) {
		all = append(all, "has at least "+strconv.Itoa(p.Floor.Size)+" "+tellOrder(p.Floor, st))
	}
	if s := tellRoll(p); s != "" {
		all = append(all, s)
	}
	return all
}

// tellRoll says how far a roll is. One that came to its end is not told here.
func tellRoll(p scaler.PoolStatus) string {
	var roll *rules.Rolled
	if p.Decision != nil {
		roll = p.Decision.Roll
	}
	switch {
	case roll == nil && p.Roll != nil:
		return "is to be rolled"
	case roll == nil || roll.State == rules.RollDone:
		return ""
	case roll.State == rules.RollHalted:
		return printable("is not rolled to its end: " + roll.String())
	case p.Roll != nil && p.Roll.By != "":
		return printable("is rolled by " + p.Roll.By + ": " + roll.String())
	}
	return printable("is rolled: " + roll.String())
}

// tellTerms says by which template members are made, and what they cost.
func tellTerms(p scaler.PoolStatus) string {
	if p.Terms == nil {
		return ""
	}
	var all []string
	if p.Terms.Version != "" {
		all = append(all, "version "+printable(p.Terms.Version))
	}
	if p.Terms.Price > 0 {
		sum := p.Terms.Total(len(p.Members))
		all = append(all, strings.TrimSpace(fmt.Sprintf("%.3g an hour for a new one and %.3g for all %s", p.Terms.Price, sum, p.Terms.Currency)))
	}
	if p.Terms.Most > 0 {
		all = append(all, "quota "+strconv.Itoa(p.Terms.Most))
	}
	if p.Terms.Advice > 0 {
		all = append(all, "the provider would have "+strconv.Itoa(p.Terms.Advice))
	}
	return strings.Join(all, ", ")
}

// tellOrder says by whom, for how long and why.
func tellOrder(o *rules.Order, st scaler.Status) string {
	s := "until it is taken back"
	if !o.Until.IsZero() {
		s = "for " + span(o.Until.Sub(st.Now)) + " more"
	}
	if o.By != "" {
		s += ", by " + o.By
	}
	if o.Why != "" {
		s += ": " + o.Why
	}
	return printable(s)
}

func printPool(w sheet, st scaler.Status, p scaler.PoolStatus) error {
	fmt.Fprintf(w, "pool %s   %s   %s   rule %s   judged %s ago\n", p.Name, mode(p), bounds(p), dash(p.Rule), judged(st, p))
	if s := tellTerms(p); s != "" {
		fmt.Fprintln(w, w.whole(s))
	}
	fmt.Fprintln(w, w.whole(printable(decided(p))))
	for _, s := range poolOrders(st, p) {
		fmt.Fprintln(w, w.whole(s))
	}
	fmt.Fprintln(w)
	return printMembers(w, st, p)
}

// printMembers lists a pool's members; one of an older template says so.
func printMembers(w sheet, st scaler.Status, p scaler.PoolStatus) error {
	rows := [][]string{{"MEMBER", "STATE", "FOR", "AGE", "IN FLIGHT", "ADDRESS", "NOTE"}}
	for _, m := range p.Members {
		open, age := "-", "-"
		if m.Open != nil && *m.Open >= 0 {
			open = strconv.Itoa(*m.Open)
		}
		if !m.Born.IsZero() {
			age = span(st.Now.Sub(m.Born))
		}
		rows = append(rows, []string{m.Name, string(m.State), span(st.Now.Sub(m.Since)), age, open, dash(m.Addr), note(m, p.Terms)})
	}
	return printTable(w, rows)
}

// note is what is to be known of a member.
func note(m rules.Member, t *rules.Terms) string {
	var all []string
	if t != nil && t.Version != "" && m.Version == "" {
		all = append(all, "version unknown")
	} else if t != nil && t.Version != "" && m.Version != t.Version {
		all = append(all, "version "+m.Version)
	}
	if m.Kept {
		all = append(all, "never ended")
	}
	if m.Note != "" {
		all = append(all, m.Note)
	}
	return strings.Join(all, ", ")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
