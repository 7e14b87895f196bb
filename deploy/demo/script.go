package demo

import "time"

// A part of the script: the load goes from one rate to another, or stays.
type part struct {
	name     string
	from, to float64 // requests a second
	length   time.Duration
}

// script is three minutes: little load, more within ten seconds, held, and back.
func script() []part {
	return []part{
		{"CALM", 10, 10, 20 * time.Second},
		{"RISE", 10, 64, 10 * time.Second},
		{"HOLD", 64, 64, 90 * time.Second},
		{"FALL", 64, 10, 10 * time.Second},
		{"CALM", 10, 10, 50 * time.Second},
	}
}

// killAt is when the demo kills its own Flyball: in the middle of the hold.
const killAt = 70 * time.Second

// length is how long the script takes.
func length() time.Duration {
	var sum time.Duration
	for _, p := range script() {
		sum += p.length
	}
	return sum
}

// at is the part and the rate at a time of the script.
func at(t time.Duration) (name string, rate float64) {
	for _, p := range script() {
		if t < p.length {
			return p.name, p.from + (p.to-p.from)*t.Seconds()/p.length.Seconds()
		}
		t -= p.length
	}
	last := script()[len(script())-1]
	return last.name, last.to
}

// crossing is when the load first exceeds what one member is to take, beyond the
// tolerance of a quarter member.
func crossing() time.Duration {
	for t := time.Duration(0); t < length(); t += 10 * time.Millisecond {
		if _, rate := at(t); rate > perMember*(least+0.25) {
			return t
		}
	}
	return 0
}
