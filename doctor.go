package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"flyball/collector/elastic"
	"flyball/rules"
)

// errUnwell means that the doctor found something.
var errUnwell = errors.New("something is not as it should be")

// doctorCommand is `flyball doctor`.
func doctorCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at what Flyball depends on, and say what is wrong and how to mend it",
		Long: `Ask the Elasticsearch of the configuration whether it is reached, which version
it is, what we may do there, whether the templates are as they should be, whose
clock is ahead, how old the newest documents are, and whether it refused any: those
are in the file of dead letters. Nothing is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			if _, err := loadRules(c); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok    configuration and rules")
			return examine(cmd.Context(), cmd.OutOrStdout(), c)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// examine prints what is found, and fails if anything is not as it should be.
func examine(ctx context.Context, w io.Writer, c Config) error {
	if c.Elasticsearch == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	found, err := elastic.Check(ctx, *c.Elasticsearch, c.Data, version, now())
	if err != nil {
		return err
	}
	return printFindings(w, found)
}

func printFindings(w io.Writer, found []rules.Finding) error {
	var unwell error
	for _, f := range found {
		word := "ok   "
		if !f.OK {
			word, unwell = "wrong", errUnwell
		}
		fmt.Fprintf(w, "%s elasticsearch: %s: %s\n", word, f.What, f.Text)
		if f.Hint != "" {
			fmt.Fprintf(w, "      %s\n", f.Hint)
		}
	}
	return unwell
}
