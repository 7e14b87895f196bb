package load_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flyball/app/load"
)

func one() float64 { return 1 }

func TestArrivalsFollowTheRate(t *testing.T) {
	tests := []struct {
		rate string
		want int
	}{
		{"10@20s", 200},
		{"10-64@10s", 370},
		{"64-10@10s", 370},
		{"0-10@10s", 50},
		{"0@1h,1@10s,0@1h", 10},
		{"10@20s,10-64@10s,64@60s,64-10@10s,10@80s", 200 + 370 + 3840 + 370 + 800},
		{"0.5@10s", 5},
	}
	for _, tt := range tests {
		p, err := load.ParseRate(tt.rate)
		if err != nil {
			t.Fatal(err)
		}
		n, last := 0, time.Duration(-1)
		for at := range p.Arrivals(one) {
			if at < last || at > p.Length() {
				t.Fatalf("%s: request %d at %s after %s", tt.rate, n, at, last)
			}
			n, last = n+1, at
		}
		if n != tt.want {
			t.Errorf("%s: %d requests, want %d", tt.rate, n, tt.want)
		}
		random, mean := 0, float64(tt.want)
		for range p.Arrivals(rand.New(rand.NewPCG(1, 2)).ExpFloat64) {
			random++
		}
		if math.Abs(float64(random)-mean) > 4*math.Sqrt(mean)+1 {
			t.Errorf("%s: %d random requests, want about %d", tt.rate, random, tt.want)
		}
	}
}

func TestParseTrace(t *testing.T) {
	s := time.Second
	tests := []struct {
		name, text string
		scale      float64
		want       []load.Segment
		err        string
	}{
		{"requests per second", "1\n# a comment\n\n2.5\n", 1, []load.Segment{{1, 1, s}, {2.5, 2.5, s}}, ""},
		{"bins", "unix_seconds,value\n1000,30\n1060,60\n", 1, []load.Segment{{.5, .5, 60 * s}, {1, 1, 60 * s}}, ""},
		{"bins in fast motion", "offset_seconds,value\n0,30\n60,60\n", 60, []load.Segment{{.5, .5, s}, {1, 1, s}}, ""},
		{"a missing bin repeats", "s,rate\n0,1\n10,2\n40,3\n", 1, []load.Segment{{1, 1, 10 * s}, {2, 2, 30 * s}, {3, 3, 10 * s}}, ""},
		{"empty", "", 1, nil, "empty"},
		{"only a header", "s,rate\n", 1, nil, "empty"},
		{"an unknown column", "s,cpu\n0,1", 1, nil, "line 1: column"},
		{"no header", "0,1\n1,2", 1, nil, "header"},
		{"a negative value", "1\n-1", 1, nil, "line 2"},
		{"not a number", "1\nNaN", 1, nil, "line 2"},
		{"time that falls", "s,rate\n5,1\n4,1", 1, nil, "line 3: the time does not rise"},
		{"a scale of nothing", "1", 0, nil, "time scale"},
		{"too long", "s,rate\n0,1\n999999999,1", 1, nil, "time scale"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := load.ParseTrace(strings.NewReader(tt.text), tt.scale)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, p.Segments); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestProfilesAreCutAndScaled(t *testing.T) {
	p, err := load.ParseRate("10-20@10s,5@10s")
	if err != nil {
		t.Fatal(err)
	}
	want := []load.Segment{{50, 75, 5 * time.Second}}
	if diff := cmp.Diff(want, p.Cut(5*time.Second).Peak(75).Segments); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(p, p.Cut(0).Peak(0)); diff != "" {
		t.Errorf("untouched (-want +got):\n%s", diff)
	}
}

func FuzzRate(f *testing.F) {
	for _, s := range []string{"10@20s,10-64@10s", "1e3@1ms", "0@1h", "@", "1-@1s", "-1@1s", "NaN@1s", "1@999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := load.ParseRate(s)
		if err != nil {
			return
		}
		n, last := 0, time.Duration(0)
		for at := range p.Arrivals(one) {
			if at < last || at > p.Length() {
				t.Fatalf("%q: request %d at %s after %s of %s", s, n, at, last, p.Length())
			}
			if n, last = n+1, at; n == 10_000 {
				return
			}
		}
	})
}

func FuzzTrace(f *testing.F) {
	for _, s := range []string{"1\n2\n", "unix_seconds,value\n1,2\n6,9\n", "s,rate\n-5,1\n", "s,value\n0,1e300\n1e-300,2\n"} {
		f.Add(s, 1.0)
	}
	f.Fuzz(func(t *testing.T, s string, scale float64) {
		p, err := load.ParseTrace(strings.NewReader(s), scale)
		if err != nil {
			return
		}
		if p.Length() <= 0 || p.Length() > load.MaxLength {
			t.Errorf("%q lasts %s", s, p.Length())
		}
		for _, seg := range p.Segments {
			if !(seg.From >= 0) || seg.For <= 0 {
				t.Errorf("%q has the segment %+v", s, seg)
			}
		}
	})
}

func FuzzMix(f *testing.F) {
	f.Add("create=10,read=70,update=15,delete=5")
	f.Add("read=0")
	f.Add("read=1,read=2")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := load.ParseMix(s)
		if err == nil && (min(m.Create, m.Read, m.Update, m.Delete) < 0 || m == load.Mix{}) {
			t.Errorf("%q reads as %+v", s, m)
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add("4,50,150")
	f.Add("1..150")
	f.Add("1..")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := load.ParseUsers(s, time.Second)
		if err != nil {
			return
		}
		for _, step := range u.Steps {
			if min(step.From, step.To) < 1 || max(step.From, step.To) > load.MaxUsers {
				t.Errorf("%q has the step %+v", s, step)
			}
		}
	})
}
