package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"flyball/rules"
	"flyball/scaler"
)

// An orderRequest is what an operator's act says to the service.
type orderRequest struct {
	Size   int    `json:"size,omitempty"`
	For    string `json:"for,omitempty"` // a duration such as 2h; "": until it is taken back
	Reason string `json:"reason,omitempty"`
}

// orderFlags are the flags of an act.
type orderFlags struct {
	lasting string
	reason  string
}

func (f *orderFlags) addTo(cmd *cobra.Command, lasts bool) {
	if lasts {
		cmd.Flags().StringVar(&f.lasting, "for", "", "for how long, e.g. 2h (default: until it is taken back)")
	}
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for those who read it later")
}

// request is the act's body. The service reads durations as Prometheus does.
func (f *orderFlags) request(size int) (orderRequest, error) {
	if f.lasting != "" {
		if d, err := model.ParseDuration(f.lasting); err != nil || d == 0 {
			return orderRequest{}, usage(fmt.Errorf("--for %q is no duration: write e.g. 30m, 2h or 1d", f.lasting))
		}
	}
	return orderRequest{Size: size, For: f.lasting, Reason: f.reason}, nil
}

// poolCommand is `flyball pool set|pause|resume|roll|end`.
func poolCommand(o *clientOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pool",
		Short: "Set a floor under a pool, pause it, resume it, roll it; end what outlives the service",
		RunE: func(*cobra.Command, []string) error {
			return usage(errors.New("say what to do: flyball pool set, pool pause, pool resume, pool roll or pool end"))
		},
	}
	cmd.AddCommand(poolSetCommand(o), poolPauseCommand(o), poolResumeCommand(o), poolRollCommand(o), poolEndCommand())
	return usageOf(cmd, cobra.NoArgs)
}

func poolSetCommand(o *clientOptions) *cobra.Command {
	var f orderFlags
	cmd := usageOf(&cobra.Command{
		Use:               "set pool size",
		Short:             "Give a pool at least so many members; signals may still want more",
		Example:           "  flyball pool set web 5 --for 2h --reason sale",
		ValidArgsFunction: o.completePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := strconv.Atoi(args[1])
			if err != nil || size < 1 {
				return usage(fmt.Errorf("size %q is no whole number from 1 on", args[1]))
			}
			return o.order(cmd, "/pools/"+url.PathEscape(args[0])+"/set", f, size,
				fmt.Sprintf("pool %s has at least %d members", args[0], size))
		},
	}, cobra.ExactArgs(2))
	f.addTo(cmd, true)
	return cmd
}

func poolPauseCommand(o *clientOptions) *cobra.Command {
	var f orderFlags
	cmd := usageOf(&cobra.Command{
		Use:               "pause pool",
		Short:             "Judge a pool, but do nothing to it",
		Example:           "  flyball pool pause web --for 2h --reason 'database upgrade'",
		ValidArgsFunction: o.completePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.order(cmd, "/pools/"+url.PathEscape(args[0])+"/pause", f, 0, "pool "+args[0]+" is paused")
		},
	}, cobra.ExactArgs(1))
	f.addTo(cmd, true)
	return cmd
}

func poolResumeCommand(o *clientOptions) *cobra.Command {
	var f orderFlags
	cmd := usageOf(&cobra.Command{
		Use:               "resume pool",
		Short:             "Take back a pool's pause and floor",
		ValidArgsFunction: o.completePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.order(cmd, "/pools/"+url.PathEscape(args[0])+"/resume", f, 0, "pool "+args[0]+" is resumed: its pause and floor are taken back")
		},
	}, cobra.ExactArgs(1))
	f.addTo(cmd, false)
	return cmd
}

func poolRollCommand(o *clientOptions) *cobra.Command {
	var f orderFlags
	var stop bool
	cmd := usageOf(&cobra.Command{
		Use:   "roll pool",
		Short: "Replace the members of older templates (image, size), one at a time",
		Long: `Replace all members that were made by an older template than the pool's present
one: another image, size or start script. One member is made beyond the wish,
also where the pool is at its max; when it is ready, warmed up and gets requests,
the oldest member of an older template is taken out of rotation, drains and ends.

A roll ends by itself when all are replaced. It stops by itself, and says why,
when a new member is not ready within 15 minutes, when five in a row cannot be
made, when two new members turn unhealthy, when many members do at once, when a
signal rises above its band and when a hold forbids growth. Where the provider
has no room for one more it waits. What was replaced stays. Meanwhile the pool is
scaled as ever.`,
		Example:           "  flyball pool roll web --reason 'image of November'\n  flyball pool roll web --stop",
		ValidArgsFunction: o.completePool,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/pools/" + url.PathEscape(args[0]) + "/roll"
			if stop {
				return o.order(cmd, path+"/stop", f, 0, "the roll of pool "+args[0]+" is stopped: members that were replaced stay")
			}
			return o.order(cmd, path, f, 0, "pool "+args[0]+" is rolled, one member at a time: `flyball status "+args[0]+"` shows how far it is")
		},
	}, cobra.ExactArgs(1))
	f.addTo(cmd, false)
	cmd.Flags().BoolVar(&stop, "stop", false, "stop the roll that is under way")
	return cmd
}

// stopAllCommand is `flyball stop-all`.
func stopAllCommand(o *clientOptions) *cobra.Command {
	var f orderFlags
	cmd := usageOf(&cobra.Command{
		Use:   "stop-all",
		Short: "Do nothing to any pool until resume-all, restarts included",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.order(cmd, "/stop-all", f, 0, "all pools are paused")
		},
	}, cobra.NoArgs)
	f.addTo(cmd, true)
	return cmd
}

// resumeAllCommand is `flyball resume-all`.
func resumeAllCommand(o *clientOptions) *cobra.Command {
	var f orderFlags
	cmd := usageOf(&cobra.Command{
		Use:   "resume-all",
		Short: "Take back stop-all; pools that are paused by themselves stay so",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.order(cmd, "/resume-all", f, 0, "stop-all is taken back")
		},
	}, cobra.NoArgs)
	f.addTo(cmd, false)
	return cmd
}

// order asks for an act and prints what the service made of it.
func (o *clientOptions) order(cmd *cobra.Command, path string, f orderFlags, size int, done string) error {
	body, err := f.request(size)
	if err != nil {
		return err
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	var got rules.Order
	if err := c.post(cmd.Context(), path, body, &got); err != nil {
		return err
	}
	return o.show(cmd.OutOrStdout(), got, func(w sheet) error {
		if body.For != "" && !got.Until.IsZero() {
			done += " until " + clock(got.Until)
		}
		if got.By != "" {
			done += ", by " + printable(got.By)
		}
		_, err := fmt.Fprintln(w, done)
		return err
	})
}

// completePool completes a pool's name from the running service, if it is there.
func (o *clientOptions) completePool(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := o.poolNames(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp // a shell has no place for it
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (o *clientOptions) poolNames(ctx context.Context) ([]string, error) {
	c, err := o.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var st scaler.Status
	if err := c.get(ctx, "/status", &st); err != nil {
		return nil, err
	}
	names := make([]string, len(st.Pools))
	for i, p := range st.Pools {
		names[i] = p.Name
	}
	return names, nil
}
