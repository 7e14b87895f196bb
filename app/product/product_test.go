package product_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/app/product"
)

func TestValidateNamesEveryMistake(t *testing.T) {
	long := strings.Repeat("ä", 300)
	tests := []struct {
		name   string
		change func(p *product.Product)
		fields []string
	}{
		{"a whole product", func(*product.Product) {}, nil},
		{"the longest name", func(p *product.Product) { p.Name = long[:2*product.MaxName] }, nil},
		{"an id with a slash", func(p *product.Product) { p.ID = "a/b" }, []string{"id"}},
		{"an id that begins with a dot", func(p *product.Product) { p.ID = ".." }, []string{"id"}},
		{"nothing", func(p *product.Product) { *p = product.Product{} }, []string{"id", "type", "name"}},
		{"too long", func(p *product.Product) { p.Type, p.Name = long, long }, []string{"type", "name"}},
		{"white space", func(p *product.Product) { p.Name = " a" }, []string{"name"}},
		{"control characters", func(p *product.Product) { p.Name = "a\x00b" }, []string{"name"}},
		{"not UTF-8", func(p *product.Product) { p.Name = "a\xffb" }, []string{"name"}},
		{"nested parameter", func(p *product.Product) { p.Parameters["x"] = []any{} }, []string{"parameters/x"}},
		{"long value", func(p *product.Product) { p.Parameters["x"] = strings.Repeat("a", 1025) }, []string{"parameters/x"}},
		{"long number", func(p *product.Product) { p.Parameters["x"] = json.Number(strings.Repeat("1", 41)) }, []string{"parameters/x"}},
		{"parameter names", func(p *product.Product) { p.Parameters[""], p.Parameters["a=b"] = 1, "" }, []string{"parameters/", "parameters/", "parameters/a=b"}},
		{"too many parameters", func(p *product.Product) {
			for i := range 65 {
				p.Parameters[strings.Repeat("x", i+1)] = true
			}
		}, []string{"parameters"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := product.Product{ID: "a-1", Type: "book", Name: "A", Parameters: product.Parameters{"n": json.Number("1"), "z": nil, "t": true}}
			tt.change(&p)
			var faults product.Faults
			errors.As(p.Validate(), &faults)
			var fields []string
			for _, f := range faults {
				fields = append(fields, f.Field)
			}
			if diff := cmp.Diff(tt.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, faults)
			}
		})
	}
}

func TestNewIDsAreValidAndSortByTime(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	a, b, later := product.NewID(now), product.NewID(now), product.NewID(now.Add(time.Millisecond))
	if a == b || a >= later || !product.ValidID(a) {
		t.Errorf("got %s, %s and later %s", a, b, later)
	}
}

func TestParseParametersRefusesWhatIsNotOne(t *testing.T) {
	_, err := product.ParseParameters("a = 1\nb\na = 2\n")
	if err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v, want both lines named", err)
	}
}

func FuzzParametersAsText(f *testing.F) {
	f.Add("a = 1\nb = true\n\nc = \" x\"\nd=null\ne = [1]\nf = 01\n")
	f.Fuzz(func(t *testing.T, s string) {
		ps, err := product.ParseParameters(s)
		if err != nil || (product.Product{ID: "a", Type: "t", Name: "n", Parameters: ps}).Validate() != nil {
			return
		}
		again, err := product.ParseParameters(ps.Text())
		if diff := cmp.Diff(ps, again); err != nil || diff != "" {
			t.Errorf("read back: %v\n%s", err, diff)
		}
	})
}

func FuzzPageToken(f *testing.F) {
	f.Add(product.Cursor{Type: "book", ID: "a"}.Token(), "book")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, token, typ string) {
		c, err := product.ParseToken(token, typ)
		if err != nil {
			if !errors.Is(err, product.ErrPageToken) {
				t.Errorf("got %v, want ErrPageToken", err)
			}
			return
		}
		if c.Token() != token || c.Type != typ {
			t.Errorf("%q reads as %+v, which writes %q", token, c, c.Token())
		}
	})
}
