// Command flyball watches services, decides how many members their pools need,
// and resizes them: see README.md, or `flyball help`.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"flyball/scaler/pool/process"
)

// version is set when a release is built.
var version = "0.1.0-dev"

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

func main() {
	process.Gate()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr, os.Getenv})
	stop()
	os.Exit(code)
}

// run is the program without its process, so that tests reach it.
func run(ctx context.Context, args []string, io stdio) int {
	root := rootCommand(io)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(io.err, "flyball:", err)
	}
	return exitCode(err)
}

func rootCommand(io stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "flyball",
		Short: "Watch services, decide how large their pools should be, and resize them",
		Long: `Flyball scrapes apps, databases, proxies and containers, keeps what it reads in an
embedded Prometheus, judges rules kept in Git, resizes pools, and can say of every
act, and of every refusal to act, exactly why.

Exit codes: 0 done, 1 failed, 2 wrong use or bad files, 3 the service is not
reached, 4 the service refused.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("there is no command %q: flyball help lists them", args[0]))
			}
			return cmd.Help()
		},
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(runCommand(io), checkCommand(), schemaCommand(), balanceCommand(io), demoCommand(), doctorCommand())
	for _, c := range root.Commands() {
		usageOf(c, c.Args)
	}
	root.AddCommand(elasticCommand(io), emulateCommand(io))
	root.AddCommand(clientCommands(io.getenv)...)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		usageOf(help, helpTopic)
	}
	return root
}

// helpTopic refuses to explain what is no command.
func helpTopic(help *cobra.Command, args []string) error {
	if _, rest, err := help.Root().Find(args); err != nil || len(rest) > 0 {
		return fmt.Errorf("there is no command %q: flyball help lists them", strings.Join(args, " "))
	}
	return nil
}
