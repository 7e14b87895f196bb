package store

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/rules"
)

// origin is the context that the rule manager asks in.
func origin(t *testing.T, kind string) context.Context {
	t.Helper()
	return rules.NewOriginContext(t.Context(), rules.RuleDetail{Kind: kind})
}
