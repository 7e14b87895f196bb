package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// logConfig is what the flags say of the log.
type logConfig struct {
	format string
}

func (c *logConfig) register(f *pflag.FlagSet) {
	f.StringVar(&c.format, "log", "text", "form of the log on stderr: text or json")
}

func (c *logConfig) validate() error {
	if c.format != "text" && c.format != "json" {
		return fmt.Errorf("log: %q is not a form: text and json are", c.format)
	}
	return nil
}

func (c *logConfig) logger(w io.Writer) *slog.Logger {
	if c.format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
