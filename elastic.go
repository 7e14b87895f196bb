package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"flyball/collector/elastic"
)

// errNoElasticsearch means that a command is about an Elasticsearch, and none is configured.
var errNoElasticsearch = errors.New("no Elasticsearch is configured: write elasticsearch: {urls: [https://es:9200]} into flyball.yaml")

// elasticCommand is `flyball elastic`.
func elasticCommand(io stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "elastic", Short: "Make an Elasticsearch ready"}
	cmd.AddCommand(elasticSetupCommand(io))
	return cmd
}

func elasticSetupCommand(io stdio) *cobra.Command {
	var file string
	var dry bool
	cmd := usageOf(&cobra.Command{
		Use:   "setup",
		Short: "Write the templates of the data streams; the service does so by itself at its start",
		Long: `Write the templates that the data streams of samples, datasets and events are made
by. What is as it should be, what is newer, and what somebody else made or changed is
left alone and told of.

With --dry-run nothing is asked: every request is printed as Kibana's console takes it,
for those whose user may not write templates.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			if c.Elasticsearch == nil {
				return usage(errNoElasticsearch)
			}
			out := cmd.OutOrStdout()
			if dry {
				for _, r := range elastic.Plan(*c.Elasticsearch) {
					fmt.Fprintln(out, r)
				}
				return nil
			}
			log := slog.New(slog.NewTextHandler(io.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
			report, err := elastic.SetUp(cmd.Context(), *c.Elasticsearch, version, log)
			for _, r := range report.Results {
				fmt.Fprintln(out, r)
			}
			return err
		},
	}, cobra.NoArgs)
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print every request and send none")
	return cmd
}
