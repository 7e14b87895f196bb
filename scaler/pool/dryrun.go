package pool

import (
	"context"
	"log/slog"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
)

// dryRun looks, and says what it would do.
type dryRun struct {
	scaler.Pool
	log *slog.Logger
}

// Grow does nothing.
func (d dryRun) Grow(_ context.Context, s journal.Step) error {
	d.log.Info("dry run: would grow", "step", s.ID, "names", s.Names, "to", s.To, "reason", s.Reason)
	return nil
}

// Remove does nothing.
func (d dryRun) Remove(_ context.Context, s journal.Step) error {
	d.log.Info("dry run: would remove", "step", s.ID, "victims", s.Victims, "to", s.To, "reason", s.Reason)
	return nil
}

// dryTraffic counts, and says what it would do.
type dryTraffic struct {
	scaler.Traffic
	log *slog.Logger
}

// Admit does nothing.
func (d dryTraffic) Admit(_ context.Context, ms []rules.Member) error {
	d.log.Info("dry run: would admit", "members", ids(ms))
	return nil
}

// Withdraw does nothing.
func (d dryTraffic) Withdraw(_ context.Context, ms []rules.Member) error {
	d.log.Info("dry run: would withdraw", "members", ids(ms))
	return nil
}

// Open knows nothing: to ask would start a balancer.
func (d dryTraffic) Open(context.Context) (map[rules.MemberID]int, error) { return nil, nil }
