package digitalocean

import (
	"context"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
	"flyball/scaler/pool/pooltest"
)

// settling is a pool after whose growth some time passes, so that its members have
// addresses: the cloud gives none at once.
type settling struct{ scaler.Pool }

func (s settling) Grow(ctx context.Context, step journal.Step) error {
	err := s.Pool.Grow(ctx, step)
	time.Sleep(90 * time.Second) // of the bubble
	return err
}

func TestDropletsAreAPool(t *testing.T) {
	pooltest.RunInBubbles(t, func(t *testing.T) pooltest.Harness {
		c := newCloud(t, emulate.DigitalOceanOptions{})
		return pooltest.Harness{
			Pool: settling{c.pool("web")}, Refused: "web-x", Pace: 100 * time.Millisecond,
			Again: func(*testing.T) scaler.Pool {
				c.restart()
				return settling{c.pool("web")}
			},
			Kill:     func(_ *testing.T, m rules.Member) { c.do.PowerOff(m.Name) },
			Stubborn: func(*testing.T) { c.world.Plant(emulate.Fault{Name: "deaf"}) },
		}
	})
}
