package exec

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flyball/rules"
)

// Preflight finds out whether the program answers, in time, and whether it can have
// as many members as the pool may get.
func (p *Pool) Preflight(ctx context.Context, most int) []rules.Finding {
	begun := time.Now()
	ms, terms, err := p.Look(ctx)
	if err != nil {
		return []rules.Finding{{
			What: "program", Text: err.Error(),
			Hint: fmt.Sprintf(`run it by hand: echo '{"verb": "look", "pool": %q}' | %s`, p.name, p.byHand()),
		}}
	}
	took := time.Since(begun).Round(time.Millisecond)
	out := []rules.Finding{{OK: true, What: "program", Text: fmt.Sprintf("lists %d members within %s", len(ms), took)}}
	if took > 3*time.Second {
		out = append(out, rules.Finding{
			What: "speed", Text: fmt.Sprintf("a list takes %s, and is waited for 5s", took), Hint: "let it ask for less, or keep what it asked for",
		})
	}
	if terms.Most > 0 && terms.Most < most {
		out = append(out, rules.Finding{
			What: "quota", Text: fmt.Sprintf("there can be %d members, and the rule's max is %d", terms.Most, most),
			Hint: "have the quota raised, or lower max",
		})
	}
	if !terms.Victims && !terms.Drains {
		out = append(out, rules.Finding{
			What: "draining", Text: "it takes no victims and does not drain: removal may cut requests off",
			Hint: `let it take victims: answer "terms": {"victims": true}`,
		})
	}
	return out
}

// byHand is the command as one writes it in a shell; what the environment's values are
// stands in the configuration.
func (p *Pool) byHand() string {
	words := slices.Sorted(maps.Keys(p.cfg.Env))
	for i, name := range words {
		words[i] = name + "=..."
	}
	return strings.Join(append(words, p.cfg.Command...), " ")
}
