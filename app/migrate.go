package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// migrateConfig is what the flags of `migrate` say.
type migrateConfig struct {
	store storeConfig
	log   logConfig
}

func migrateCommand() *cobra.Command {
	var c migrateConfig
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make the store's tables, or bring them up to date",
		Long: `Make the store's tables, or bring them to what this version of the program needs.
It may run at any time, any number of times and several times at once. SQLite needs
none: serve makes its tables by itself.

Each flag may be given in the environment instead: --cassandra-hosts as APP_CASSANDRA_HOSTS.`,
		Example: `  app migrate --store cassandra --cassandra-hosts 10.0.0.4,10.0.0.5 --replication dc1=3
  app migrate --store cassandra --cassandra-hosts 10.0.0.4 --replication ams=3,fra=3
  app migrate --store postgres --postgres-dsn 'postgres://app@db1,db2/app' --postgres-password-file app.password`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.prepare(cmd); err != nil {
				return fmt.Errorf("%w (%w)", err, errUsage)
			}
			return c.store.migrate(cmd.Context(), c.log.logger(cmd.ErrOrStderr()))
		},
	}
	c.store.register(cmd.Flags())
	c.store.registerMigration(cmd.Flags())
	c.log.register(cmd.Flags())
	return cmd
}

func (c *migrateConfig) prepare(cmd *cobra.Command) error {
	if err := fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	return errors.Join(c.store.validate(cmd.Flags()), c.log.validate())
}
