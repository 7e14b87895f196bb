package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// The exit codes of the commands that ask the running service.
const (
	exitFailed      = 1 // it did not work
	exitUsage       = 2 // the command line is wrong
	exitUnreachable = 3 // the service does not answer
	exitRefused     = 4 // the service says no: not allowed, not known, or out of bounds
)

// An exitError is an error that knows its exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitCode is what the program ends with after a command returned err.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailed
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

// usageOf makes wrong arguments and flags of a command exit with exitUsage, and
// errors of another kind print no help.
func usageOf(cmd *cobra.Command, args cobra.PositionalArgs) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, given []string) error { return usage(args(cmd, given)) }
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	cmd.SilenceUsage = true
	return cmd
}
