package postgres

import (
	"math"
	"testing"
)

func TestSettingValue(t *testing.T) {
	for _, c := range []struct {
		value, unit string
		want        float64
		ok          bool
	}{
		{"on", "", 1, true},
		{"off", "", 0, true},
		{"100", "", 100, true},
		{"16384", "8kB", 128 << 20, true},
		{"64", "16MB", 1 << 30, true},
		{"200", "ms", 0.2, true},
		{"5", "min", 300, true},
		{"-1", "MB", -1, true},
		{"1", "d", 86400, true},
		{"replica", "", 0, false},
		{"1", "furlong", 0, false},
		{"1", "8", 0, false},
		{"", "", 0, false},
	} {
		if got, ok := settingValue(c.value, c.unit); got != c.want && ok || ok != c.ok {
			t.Errorf("%s %s is %g (%t), want %g (%t)", c.value, c.unit, got, ok, c.want, c.ok)
		}
	}
}

func FuzzSettingValue(f *testing.F) {
	for _, unit := range []string{"", "8kB", "ms", "00000000000000kB", "9e9", "1s"} {
		f.Add("12", unit)
	}
	f.Fuzz(func(t *testing.T, value, unit string) {
		plain, known := settingValue(value, "")
		got, ok := settingValue(value, unit)
		factor, unitKnown := unitFactor(unit)
		switch {
		case !known && ok, math.IsNaN(got):
			t.Errorf("%q %q is %g", value, unit, got)
		case plain < 0 && got != plain:
			t.Errorf("%q %q is %g: it says that there is no limit", value, unit, got)
		case plain > 1 && (ok != unitKnown || ok && got != plain*factor):
			t.Errorf("%q %q is %g (%t), and without the unit %g", value, unit, got, ok, plain)
		}
	})
}

func TestVersionsOfTheExtension(t *testing.T) {
	for version, want := range map[string]int{"1.10": 10, "1.9": 9, "1.11": 11, "2": 0, "": 0, "1.x": 0} {
		if got := minor(version); got != want {
			t.Errorf("%q has %d, want %d", version, got, want)
		}
	}
}
