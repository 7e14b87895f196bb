package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"flyball/collector/elastic"
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
are in the file of dead letters.

Ask the cloud of each pool whether it is reached, and whether all is there that new
members are made of, up to the max of the pool's rule: image, size, key, network, quota.
Nothing is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			set, err := loadRules(c)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok    configuration and rules")
			supplied := examine(cmd.Context(), cmd.OutOrStdout(), c)
			pools := examinePools(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), c, set)
			if errors.Is(supplied, errUnwell) && pools != nil {
				return pools
			}
			return errors.Join(supplied, pools)
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
	return tell(w, "elasticsearch", found)
}
