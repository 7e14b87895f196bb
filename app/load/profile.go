package load

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
)

// The bounds of a profile.
const (
	MaxRate   = 100_000.0 // requests per second
	MaxLength = 366 * 24 * time.Hour
	mostSteps = 100 // a profile with more segments has no figures by step
)

// A Profile is an open model: requests per second over time.
type Profile struct{ Segments []Segment }

// A Segment goes evenly from one rate to another. Rates are requests per second.
type Segment struct {
	From, To float64
	For      time.Duration
}

// ParseRate reads segments with commas between, each RATE@TIME or FROM-TO@TIME, as
// in 10@20s,10-64@10s,64@60s. Rates are requests per second.
func ParseRate(s string) (Profile, error) {
	var p Profile
	for part := range strings.SplitSeq(s, ",") {
		seg, err := parseSegment(strings.TrimSpace(part))
		if err != nil {
			return Profile{}, fmt.Errorf("parse rate %q: %w", s, err)
		}
		p.Segments = append(p.Segments, seg)
		if p.Length() > MaxLength {
			return Profile{}, fmt.Errorf("parse rate %q: it is longer than %s", s, MaxLength)
		}
	}
	return p, nil
}

func parseSegment(s string) (Segment, error) {
	rates, length, found := strings.Cut(s, "@")
	if !found {
		return Segment{}, fmt.Errorf("segment %q has no @: write 10@20s or 10-64@10s", s)
	}
	d, err := time.ParseDuration(length)
	if err != nil || d <= 0 || d > MaxLength {
		return Segment{}, fmt.Errorf("segment %q: %q is not a time such as 20s", s, length)
	}
	from, to, slope := strings.Cut(rates, "-")
	if !slope {
		to = from
	}
	a, err := parseRate(from)
	if err != nil {
		return Segment{}, fmt.Errorf("segment %q: %w", s, err)
	}
	b, err := parseRate(to)
	if err != nil {
		return Segment{}, fmt.Errorf("segment %q: %w", s, err)
	}
	return Segment{a, b, d}, nil
}

func parseRate(s string) (float64, error) {
	r, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(r) || r < 0 || r > MaxRate {
		return 0, fmt.Errorf("%q is not a rate from 0 to %g per second", s, MaxRate)
	}
	return r, nil
}

// Length is how long the profile lasts.
func (p Profile) Length() time.Duration {
	var d time.Duration
	for _, s := range p.Segments {
		d += s.For
	}
	return d
}

// Cut ends the profile after a time, if it is longer; 0 leaves it whole.
func (p Profile) Cut(after time.Duration) Profile {
	if after <= 0 {
		return p
	}
	var out Profile
	for _, s := range p.Segments {
		if after <= 0 {
			break
		}
		if s.For > after {
			s.To = s.From + (s.To-s.From)*after.Seconds()/s.For.Seconds()
			s.For = after
		}
		out.Segments = append(out.Segments, s)
		after -= s.For
	}
	return out
}

// Peak scales all rates so that the highest is as given; 0 leaves them.
func (p Profile) Peak(peak float64) Profile {
	var most float64
	for _, s := range p.Segments {
		most = max(most, s.From, s.To)
	}
	if peak <= 0 || most == 0 {
		return p
	}
	out := Profile{Segments: make([]Segment, len(p.Segments))}
	for i, s := range p.Segments {
		out.Segments[i] = Segment{s.From * peak / most, s.To * peak / most, s.For}
	}
	return out
}

// Arrivals yields when requests are due, from the start on. The gap function says
// how many requests' worth of the profile lies between one and the next: always 1
// is evenly, exponentially distributed with mean 1 is at random. Before the first
// lies half a gap, so that 10 a second for 2 seconds are 20, all within.
func (p Profile) Arrivals(gap func() float64) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		var start time.Duration
		need := gap() / 2
		for _, s := range p.Segments {
			area := s.area(s.For.Seconds())
			var used float64
			for used+need <= area+1e-9 { // the last of 200 is not lost to rounding
				used += need
				at := min(s.when(used), s.For)
				if !yield(start + at) {
					return
				}
				need = gap()
			}
			need -= area - used
			start += s.For
		}
	}
}

// area is how many requests are due within the first t seconds.
func (s Segment) area(t float64) float64 {
	return s.From*t + (s.To-s.From)*t*t/(2*s.For.Seconds())
}

// when is the time at which an area is reached: the inverse of area.
func (s Segment) when(area float64) time.Duration {
	slope := (s.To - s.From) / s.For.Seconds()
	// The root of slope/2 t² + from t - area that does not cancel, for any slope.
	root := math.Sqrt(max(0, s.From*s.From+2*slope*area))
	t := 2 * area / (s.From + root)
	if math.IsNaN(t) || t < 0 {
		return 0
	}
	return time.Duration(t * float64(time.Second))
}

func (p Profile) steps() []step {
	if len(p.Segments) > mostSteps {
		return nil
	}
	var out []step
	var at time.Duration
	for _, s := range p.Segments {
		name := fmt.Sprintf("%.4g/s", s.From)
		if s.From != s.To {
			name = fmt.Sprintf("%.4g-%.4g/s", s.From, s.To)
		}
		out = append(out, step{name: name, level: (s.From + s.To) / 2, from: at, to: at + s.For})
		at += s.For
	}
	return out
}
