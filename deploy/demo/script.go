package demo

import (
	"fmt"
	"strings"
	"time"
)

// A part of the script: the load goes from one rate to another, or stays.
type part struct {
	name     string
	from, to float64 // requests a second
	length   time.Duration
}

// A script is what is played: the load, and what befalls meanwhile.
type script struct {
	parts   []part
	kill    time.Duration // when the demo kills its own Flyball
	cut     time.Duration // when Elasticsearch is cut off; 0: it is not
	mend    time.Duration // when it is reached again
	warmup  time.Duration // of the rule
	crosses float64       // requests a second above which the first member is to get help
	wanted  string        // of a member
}

// threeMinutes is little load, more within ten seconds, held, and back. A tolerance
// of a quarter member is what keeps the rule from acting at once.
func threeMinutes() script {
	return script{
		parts: []part{
			{"CALM", 10, 10, 20 * time.Second},
			{"RISE", 10, 64, 10 * time.Second},
			{"HOLD", 64, 64, 90 * time.Second},
			{"FALL", 64, 10, 10 * time.Second},
			{"CALM", 10, 10, 50 * time.Second},
		},
		kill:    70 * time.Second,
		warmup:  5 * time.Second,
		crosses: perMember * (least + 0.25),
		wanted:  fmt.Sprintf("%d/s per member", perMember),
	}
}

// byElastic rises more slowly, for what comes by way of Elasticsearch is heard some
// seconds later. The load falls while Elasticsearch is cut off.
func byElastic() script {
	return script{
		parts: []part{
			{"CALM", 10, 10, 15 * time.Second},
			{"RISE", 10, 50, 30 * time.Second},
			{"HOLD", 50, 50, 30 * time.Second},
			{"FALL", 50, 10, 5 * time.Second},
			{"CALM", 10, 10, 70 * time.Second}, // it may take half a minute until enough is heard again
		},
		kill:    60 * time.Second,
		cut:     73 * time.Second,
		mend:    95 * time.Second,
		warmup:  10 * time.Second,
		crosses: serves * busyAbove / 100,
		wanted:  fmt.Sprintf("%d%%-%d%% busy", busyBelow, busyAbove),
	}
}

// script is the one that the options ask for.
func (o Options) script() script {
	if o.Elasticsearch != "" {
		return byElastic()
	}
	return threeMinutes()
}

// length is how long the script takes.
func (s script) length() time.Duration {
	var sum time.Duration
	for _, p := range s.parts {
		sum += p.length
	}
	return sum
}

// at is the part and the rate at a time of the script.
func (s script) at(t time.Duration) (name string, rate float64) {
	for _, p := range s.parts {
		if t < p.length {
			return p.name, p.from + (p.to-p.from)*t.Seconds()/p.length.Seconds()
		}
		t -= p.length
	}
	last := s.parts[len(s.parts)-1]
	return last.name, last.to
}

// crossing is when the load first exceeds what the first member is to take.
func (s script) crossing() time.Duration {
	for t := time.Duration(0); t < s.length(); t += 10 * time.Millisecond {
		if _, rate := s.at(t); rate > s.crosses {
			return t
		}
	}
	return 0
}

// span is when the first part of a name begins and ends.
func (s script) span(name string) (from, to time.Duration) {
	for _, p := range s.parts {
		if p.name == name {
			return from, from + p.length
		}
		from += p.length
	}
	return 0, 0
}

// rate writes the load as the load generator's --rate.
func (s script) rate() string {
	var parts []string
	for _, p := range s.parts {
		r := fmt.Sprintf("%g", p.from)
		if p.to != p.from {
			r += fmt.Sprintf("-%g", p.to)
		}
		parts = append(parts, r+"@"+p.length.String())
	}
	return strings.Join(parts, ",")
}
