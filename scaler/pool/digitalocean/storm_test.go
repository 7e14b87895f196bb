package digitalocean

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"flyball/rules"
	"flyball/scaler/journal"
	"flyball/scaler/pool/emulate"
)

// A stormy cloud is asked for members and their ends, at random, by programs that die
// at random; then it is fair, and a simple loop asks for what is wanted.
type stormy struct {
	*cloud
	dice  *rand.Rand
	pool  *Pool
	named int
	last  []string // names that were asked for last
}

func TestAfterAStormThereAreNoOrphansAndNoDuplicatesOfDroplets(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inCloud(t, emulate.DigitalOceanOptions{DropletLimit: 40}, func(c *cloud) {
				s := &stormy{cloud: c, dice: rand.New(rand.NewPCG(seed, 6)), pool: c.pool("web")}
				s.rage()
				c.world.Heal()
				s.converge(3 + s.dice.IntN(6))
			})
		})
	}
}

// rage lets faults befall for some minutes while members are asked for and ended.
func (s *stormy) rage() {
	all := emulate.Names()
	for range 40 {
		s.world.Plant(emulate.Fault{Name: all[s.dice.IntN(len(all))], Share: 0.5, Times: 1 + s.dice.IntN(3)})
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		ms, _, err := s.pool.Look(ctx)
		cancel()
		switch s.dice.IntN(5) {
		case 0, 1:
			s.last = s.names(1 + s.dice.IntN(4))
			_ = s.step(journal.Step{Verb: journal.Grow, Names: s.last})
		case 2:
			if err == nil && len(ms) > 0 {
				_ = s.step(journal.Step{Verb: journal.Remove, Victims: []rules.MemberID{ms[s.dice.IntN(len(ms))].ID}})
			}
		case 3:
			s.restart()
			s.pool = s.cloud.pool("web")
			_ = s.step(journal.Step{Verb: journal.Grow, Names: s.last}) // the step that was left open
		}
		time.Sleep(time.Duration(s.dice.IntN(20)) * time.Second)
	}
}

// step is cut off after some time, as a crash or the loop's deadline does it.
func (s *stormy) step(step journal.Step) error {
	step.ID = "step"
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(1+s.dice.IntN(30))*time.Second)
	defer cancel()
	if step.Verb == journal.Grow {
		return s.pool.Grow(ctx, step)
	}
	return s.pool.Remove(ctx, step)
}

func (s *stormy) names(n int) []string {
	var out []string
	for range n {
		s.named++
		out = append(out, fmt.Sprintf("web-%d", s.named))
	}
	return out
}

// converge asks for what is wanted until it is so, and looks for what was left behind.
func (s *stormy) converge(want int) {
	time.Sleep(time.Minute) // nobody doubts any more, and no list lags
	began := time.Now()
	for time.Since(began) < 2*time.Hour {
		ms := s.look(s.pool)
		ready, coming, victims := 0, 0, []rules.MemberID(nil)
		for _, m := range ms {
			switch {
			case m.State == rules.Ready && ready < want:
				ready++
			case m.State == rules.Booting:
				coming++
			default:
				victims = append(victims, m.ID)
			}
		}
		if len(victims) > 0 {
			_ = s.step(journal.Step{Verb: journal.Remove, Victims: victims})
		}
		if ready+coming < want {
			_ = s.step(journal.Step{Verb: journal.Grow, Names: s.names(want - ready - coming)})
		}
		if ready == want && len(ms) == want {
			s.wantNobodyElse(ms)
			return
		}
		time.Sleep(5 * time.Second)
	}
	s.t.Fatalf("after two hours the members are %s, want %d", states(s.look(s.pool)), want)
}

func (s *stormy) wantNobodyElse(ms []rules.Member) {
	ids, seen := map[string]bool{}, map[string]bool{}
	for _, m := range ms {
		ids[string(m.ID)] = true
	}
	for _, d := range s.do.Droplets() {
		if !ids[fmt.Sprint(d.ID)] && !d.Ending {
			s.t.Errorf("Droplet %s (%d) with the tags %s is an orphan", d.Name, d.ID, strings.Join(d.Tags, " "))
		}
		if seen[d.Name] {
			s.t.Errorf("there are two Droplets called %s", d.Name)
		}
		seen[d.Name] = true
	}
	for _, r := range s.world.Requests() {
		if r.Status == http.StatusTooManyRequests && r.Fault == "" {
			s.t.Errorf("%s %s at %s is beyond the budget", r.Method, r.URL, r.At)
		}
	}
}
