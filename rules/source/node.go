package source

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// at is where a value begins: a block mapping with its first key.
func at(n ast.Node) (line, col int) {
	switch x := n.(type) {
	case nil:
		return 1, 1
	case *ast.MappingNode:
		if !x.IsFlowStyle && len(x.Values) > 0 {
			return at(x.Values[0])
		}
	case *ast.MappingValueNode:
		return at(x.Key)
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return t.Position.Line, t.Position.Column
}

// follow goes through anchors and aliases to the value itself; nil if there is
// none, or an alias leads nowhere or to itself.
func (d *document) follow(n ast.Node) ast.Node {
	for range mostDepth {
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			if x.Value == nil {
				return nil
			}
			n = d.anchors[x.Value.GetToken().Value]
		default:
			return n
		}
	}
	return nil
}

// pairs are a mapping's entries, its own only.
func pairs(n ast.Node) (ps []*ast.MappingValueNode, ok bool) {
	switch x := n.(type) {
	case *ast.MappingNode:
		return x.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{x}, true
	}
	return nil, false
}

// isNull reports whether a value is not there.
func isNull(n ast.Node) bool {
	_, null := n.(*ast.NullNode)
	return n == nil || null
}

// scalar is a scalar's text, and whether it was written so that it can only be
// text: in quotes or as a block.
func scalar(n ast.Node) (text string, quoted, ok bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		t := x.GetToken().Type
		return x.Value, t == token.SingleQuoteType || t == token.DoubleQuoteType, true
	case *ast.LiteralNode:
		if x.Value == nil {
			return "", true, true
		}
		return x.Value.Value, true, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.MergeKeyNode:
		return n.GetToken().Value, false, true
	}
	return "", false, false
}

// what names a value's kind for people.
func what(n ast.Node) string {
	text, quoted, ok := scalar(n)
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.TagNode:
		return "a tag"
	}
	if !ok {
		return "something else"
	}
	text = brief(text)
	if quoted {
		return `"` + text + `"`
	}
	return text
}

// brief is a text that fits into a line.
func brief(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 40 {
		return string(r[:37]) + "..."
	}
	return s
}

// isOldBool reports whether YAML 1.1, which many tools still read, takes a word
// for a boolean though 1.2 does not.
func isOldBool(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off":
		return true
	}
	return false
}
