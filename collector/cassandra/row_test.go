package cassandra

import (
	"math"
	"testing"
	"time"

	"github.com/gocql/gocql"
)

func TestCellsAreDecodedAsTheDriverEncodesThem(t *testing.T) {
	id := gocql.MustRandomUUID()
	at := time.UnixMilli(1795170000123)
	for _, c := range []struct {
		kind  gocql.Type
		value any
		want  cell
	}{
		{gocql.TypeVarchar, "read", cell{text: "read"}},
		{gocql.TypeText, "", cell{}},
		{gocql.TypeInet, "10.0.0.4", cell{text: "10.0.0.4"}},
		{gocql.TypeInet, "2001:db8::1", cell{text: "2001:db8::1"}},
		{gocql.TypeUUID, id, cell{text: id.String()}},
		{gocql.TypeInt, -7, cell{number: -7, counts: true}},
		{gocql.TypeBigInt, int64(1) << 40, cell{number: 1 << 40, counts: true}},
		{gocql.TypeSmallInt, int16(-2), cell{number: -2, counts: true}},
		{gocql.TypeTinyInt, int8(-2), cell{number: -2, counts: true}},
		{gocql.TypeDouble, 0.25, cell{number: 0.25, counts: true}},
		{gocql.TypeFloat, float32(0.5), cell{number: 0.5, counts: true}},
		{gocql.TypeBoolean, true, cell{number: 1, counts: true}},
		{gocql.TypeTimestamp, at, cell{number: 1795170000.123, counts: true}},
	} {
		info := gocql.NewNativeType(4, c.kind, "")
		raw, err := gocql.Marshal(info, c.value)
		if err != nil {
			t.Fatal(err)
		}
		var got cell
		if err := got.UnmarshalCQL(info, raw); err != nil || got != c.want {
			t.Errorf("%s %v is %+v, %v; want %+v", c.kind, c.value, got, err, c.want)
		}
		if err := got.UnmarshalCQL(info, nil); err != nil || got != (cell{}) {
			t.Errorf("null as %s is %+v, %v", c.kind, got, err)
		}
	}
	set := gocql.CollectionType{NativeType: gocql.NewNativeType(4, gocql.TypeSet, ""), Elem: gocql.NewNativeType(4, gocql.TypeVarchar, "")}
	raw, err := gocql.Marshal(set, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	var got cell
	if err := got.UnmarshalCQL(set, raw); err != nil || got != (cell{number: 3, counts: true}) {
		t.Errorf("a set of three is %+v, %v", got, err)
	}
}

func TestWhatARowLacksIsNull(t *testing.T) {
	r := row{names: []string{"a"}, cells: []cell{{text: "x"}}}
	if _, ok := r.number("a"); ok || r.text("a") != "x" || r.text("b") != "" {
		t.Errorf("%+v", r)
	}
}

func FuzzCell(f *testing.F) {
	for _, k := range []gocql.Type{gocql.TypeInt, gocql.TypeInet, gocql.TypeUUID, gocql.TypeSet, gocql.TypeDouble, gocql.TypeVarchar, gocql.TypeBlob} {
		f.Add(int(k), []byte{0, 0, 0, 1})
		f.Add(int(k), []byte{})
	}
	f.Fuzz(func(t *testing.T, kind int, raw []byte) {
		var c cell
		if err := c.decode(gocql.Type(kind), raw); err != nil && c.counts {
			t.Errorf("%v gives a number and %v", raw, err)
		}
		if !c.counts && c.number != 0 {
			t.Errorf("%v is %v, and is said to be none", raw, c.number)
		}
	})
}

func TestQuantitiesAreInBaseUnits(t *testing.T) {
	for text, want := range map[string]float64{
		"5000ms": 5, "10s": 10, "3h": 10800, "60m": 3600, "1d": 86400, "200us": 2e-4, "5µs": 5e-6, "7ns": 7e-9,
		"64MiB/s": 64 << 20, "1024KiB": 1 << 20, "8192MiB": 8 << 30, "134217728B": 1 << 27, "1GiB": 1 << 30, "2TiB": 2 << 40, "50KiB": 51200,
		"32": 32, "-1": -1, "2.5": 2.5, "117224.0": 117224, "1.7976931348623157E308": math.MaxFloat64, "true": 1, "false": 0,
	} {
		if got, err := quantity(text); err != nil || math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "null", "5 ms", "5parsecs", "ms", "1e999", "--1", "1.2.3", "1E308TiB", "/s", "NaN"} {
		if got, err := quantity(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"5000ms", "64MiB/s", "true", "1e308TiB", "-.5d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := quantity(text); err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Errorf("%q is %v", text, v)
		}
	})
}

func TestReleases(t *testing.T) {
	for text, want := range map[string][3]int{
		"5.0.5": {5, 0, 5}, "5.1-alpha1-SNAPSHOT": {5, 1, 0}, "4.1.8.1": {4, 1, 8}, "": {}, "x.y": {}, "4.0-beta3": {4, 0, 0},
	} {
		major, minor, patch := release(text)
		if got := [3]int{major, minor, patch}; got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func FuzzRelease(f *testing.F) {
	f.Add("5.0.5")
	f.Fuzz(func(_ *testing.T, text string) { release(text) })
}
