package pool

import (
	"context"
	"fmt"
	"math"

	"flyball/rules"
	"flyball/scaler"
)

// Price is what a member costs, where the provider does not say, or says something
// else than is paid.
type Price struct {
	Hourly   float64 `yaml:"hourly" doc:"what a member costs an hour"`
	Currency string  `yaml:"currency" doc:"of the price, e.g. USD"`
}

func (p Price) validate(path string) []rules.Fault {
	switch {
	case p == Price{}:
		return nil
	case p.Hourly <= 0 || math.IsInf(p.Hourly, 0) || math.IsNaN(p.Hourly):
		return []rules.Fault{{Path: path + ".hourly", Text: fmt.Sprintf("%v is no price", p.Hourly), Hint: "write what a member costs an hour, e.g. 0.0335"}}
	case p.Currency == "":
		return []rules.Fault{{Path: path + ".currency", Text: "is missing", Hint: "write e.g. currency: USD"}}
	}
	return nil
}

// priced tells the price that is written for a pool, instead of its provider's.
type priced struct {
	scaler.Pool
	price Price
}

// Look implements [scaler.Pool].
func (p priced) Look(ctx context.Context) ([]rules.Member, rules.Terms, error) {
	ms, terms, err := p.Pool.Look(ctx)
	if p.price.Hourly > 0 {
		terms.Price, terms.Cost, terms.Currency = p.price.Hourly, 0, p.price.Currency
	}
	return ms, terms, err
}
