package load

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// MaxUsers bounds the closed model.
const MaxUsers = 10_000

// rampSteps is into how many parts a ramp is divided for the figures.
const rampSteps = 10

// Users is a closed model: how many users there are, and for how long.
type Users struct {
	Steps []UserStep
	ramp  bool
}

// UserStep has from From to To users, evenly more or fewer in time.
type UserStep struct {
	From, To int
	For      time.Duration
}

// ParseUsers reads a list of steps such as 4,50,150, each of which lasts as long as
// given, or a ramp such as 1..150, which lasts as long in all.
func ParseUsers(s string, each time.Duration) (Users, error) {
	if each <= 0 {
		return Users{}, fmt.Errorf("parse users %q: the time for them must be positive", s)
	}
	if from, to, ramp := strings.Cut(s, ".."); ramp {
		a, err := parseCount(from)
		if err != nil {
			return Users{}, fmt.Errorf("parse users %q: %w", s, err)
		}
		b, err := parseCount(to)
		if err != nil {
			return Users{}, fmt.Errorf("parse users %q: %w", s, err)
		}
		return Users{Steps: []UserStep{{a, b, each}}, ramp: true}, nil
	}
	var u Users
	for part := range strings.SplitSeq(s, ",") {
		n, err := parseCount(part)
		if err != nil {
			return Users{}, fmt.Errorf("parse users %q: %w", s, err)
		}
		u.Steps = append(u.Steps, UserStep{n, n, each})
	}
	return u, nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 1 || n > MaxUsers {
		return 0, fmt.Errorf("%q is not a number from 1 to %d", strings.TrimSpace(s), MaxUsers)
	}
	return n, nil
}

// changes yields how many users there are from each time on. At the end it yields
// the end, with no user.
func (u Users) changes() iter.Seq2[time.Duration, int] {
	return func(yield func(time.Duration, int) bool) {
		var at time.Duration
		for _, s := range u.Steps {
			n, sign := s.To-s.From, 1
			if n < 0 {
				n, sign = -n, -1
			}
			for i := range n + 1 {
				when := at + time.Duration(float64(s.For)*float64(i)/float64(n+1))
				if !yield(when, s.From+sign*i) {
					return
				}
			}
			at += s.For
		}
		yield(at, 0)
	}
}

func (u Users) steps() []step {
	var out []step
	var at time.Duration
	for _, s := range u.Steps {
		parts := 1
		if u.ramp {
			parts = rampSteps
		}
		for i := range parts {
			middle := float64(s.From) + float64(s.To-s.From)*(float64(i)+0.5)/float64(parts)
			out = append(out, step{
				name:  userName(s, i, parts),
				level: middle,
				from:  at + s.For*time.Duration(i)/time.Duration(parts),
				to:    at + s.For*time.Duration(i+1)/time.Duration(parts),
			})
		}
		at += s.For
	}
	return out
}

func userName(s UserStep, i, parts int) string {
	if parts == 1 {
		return plural(s.From)
	}
	a := s.From + (s.To-s.From)*i/parts
	b := s.From + (s.To-s.From)*(i+1)/parts
	return fmt.Sprintf("%d..%d users", a, b)
}

func plural(n int) string {
	if n == 1 {
		return "1 user"
	}
	return fmt.Sprintf("%d users", n)
}
