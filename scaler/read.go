package scaler

import (
	"context"
	"time"

	"flyball/rules"
)

// queryTime bounds one query of a judgement.
const queryTime = 5 * time.Second

// read asks everything that a rule wants to know, one query after the other.
func (l *loop) read(ctx context.Context, now time.Time, in *rules.Inputs) {
	for _, s := range l.rule.Signals {
		in.Answers = append(in.Answers, l.ask(ctx, s.Query, now))
		if s.Scope == rules.WholePool && in.Up == nil {
			up := l.ask(ctx, rules.PromQL{Pool: l.name, Expr: `up{pool="` + l.name + `",member!=""}`}, now)
			in.Up = &up.Reading
		}
	}
	for _, h := range l.rule.Holds {
		in.Holds = append(in.Holds, l.ask(ctx, h.Query, now))
	}
}

// ask asks one query. What a failed one did see comes along.
func (l *loop) ask(ctx context.Context, q rules.Query, now time.Time) rules.Answer {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	r, err := l.s.querier.Query(ctx, q, now)
	if err != nil {
		return rules.Answer{Reading: r, Err: err.Error()}
	}
	return rules.Answer{Reading: r}
}
