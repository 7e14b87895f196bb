package alerting

import (
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	promrules "github.com/prometheus/prometheus/rules"
)

// Shipped begins the name of a rule file that comes with Flyball, and is not on disk.
const Shipped = "shipped:"

var _ promrules.GroupLoader = loader{}

// loader reads rule files, from disk and of those that are shipped.
type loader struct {
	shipped fs.FS // nil: there are none
	parser  parser.Parser
	logger  *slog.Logger
}

// Load reads one file, and tells of every mistake in it.
func (l loader) Load(name string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	inner, ok := strings.CutPrefix(name, Shipped)
	if !ok {
		return rulefmt.ParseFile(name, ignoreUnknown, scheme, l.parser, l.logger)
	}
	if l.shipped == nil {
		return nil, []error{fmt.Errorf("read %s: no rules are shipped", name)}
	}
	b, err := fs.ReadFile(l.shipped, inner)
	if err != nil {
		return nil, []error{fmt.Errorf("read %s: %w", name, err)}
	}
	groups, errs := rulefmt.Parse(b, ignoreUnknown, scheme, l.parser, l.logger)
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s: %w", name, err)
	}
	return groups, errs
}

// Parse reads one expression.
func (l loader) Parse(query string) (parser.Expr, error) { return l.parser.ParseExpr(query) }
