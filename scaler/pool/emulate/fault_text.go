package emulate

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseFault reads a fault as it is written by hand: its name and what else is said of
// it, as "lost_after,share=0.1,times=3,on=POST /v2/droplets".
func ParseFault(text string) (Fault, error) {
	name, rest, more := strings.Cut(text, ",")
	f := Fault{Name: name}
	if About(name) == "" {
		return f, fmt.Errorf("read fault %q: there is none of this name; there are %s", text, strings.Join(Names(), ", "))
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		if err := f.say(part); err != nil {
			return f, fmt.Errorf("read fault %q: %w", text, err)
		}
	}
	return f, nil
}

// say takes one thing that is said of a fault.
func (f *Fault) say(part string) error {
	key, value, _ := strings.Cut(part, "=")
	switch key {
	case "on":
		f.On = value
	case "share":
		x, err := strconv.ParseFloat(value, 64)
		if err != nil || !(x > 0 && x <= 1) {
			return fmt.Errorf("share=%s: write a number above 0 and up to 1", value)
		}
		f.Share = x
	case "times":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("times=%s: write a number from 1 on", value)
		}
		f.Times = n
	default:
		return fmt.Errorf("%q: write on=, share= or times=", part)
	}
	return nil
}
