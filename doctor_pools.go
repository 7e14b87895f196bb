package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"flyball/rules"
	"flyball/rules/source"
	"flyball/scaler/pool"
)

// examinePools asks what each pool depends on, and prints what is found; it fails if
// anything is not as it should be. A pool is to have as many members as its rule's max.
// What the programs of pools say to people goes to words.
func examinePools(ctx context.Context, w, words io.Writer, c Config, set *source.Set) error {
	quiet := slog.New(slog.DiscardHandler)
	env := pool.Env{DataDir: c.Data, Log: quiet}
	env.Accounts = pool.NewAccounts(env)
	most := map[string]int{}
	for _, r := range set.Scale {
		most[r.Pool] = r.Max
	}
	var found error
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if env.Log = quiet; c.Pools[name].Exec != nil {
			env.Log = slog.New(slog.NewTextHandler(words, nil))
		}
		p, err := pool.New(name, c.Pools[name], env)
		if err != nil {
			return fmt.Errorf("make pool %s: %w", name, err)
		}
		within, cancel := context.WithTimeout(ctx, time.Minute)
		if err := tell(w, "pool "+name, p.Preflight(within, most[name])); err != nil {
			found = err
		}
		cancel()
	}
	return found
}

// tell prints what was found of something, and fails if anything is not as it should
// be.
func tell(w io.Writer, of string, found []rules.Finding) error {
	var unwell error
	for _, f := range found {
		word := "ok   "
		if !f.OK {
			word, unwell = "wrong", errUnwell
		}
		fmt.Fprintf(w, "%s %s: %s: %s\n", word, of, f.What, f.Text)
		if f.Hint != "" {
			fmt.Fprintf(w, "      %s\n", f.Hint)
		}
	}
	return unwell
}
