package emulate

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseFault reads a fault as it is written by hand: its name, the share that it
// befalls, and what else is said of it, as "lost_after=10%,times=3,on=POST /v2/droplets".
// The share may stand after the comma too, as share=10% or share=0.1.
func ParseFault(text string) (Fault, error) {
	parts := strings.Split(text, ",")
	name, share, shared := strings.Cut(parts[0], "=")
	f := Fault{Name: name}
	if About(name) == "" {
		return f, fmt.Errorf("read fault %q: there is none of this name; there are %s", text, strings.Join(Names(), ", "))
	}
	parts = parts[1:]
	if shared {
		parts = append([]string{"share=" + share}, parts...)
	}
	for _, part := range parts {
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
		number, percent := strings.CutSuffix(value, "%")
		x, err := strconv.ParseFloat(number, 64)
		if percent {
			x /= 100
		}
		if err != nil || !(x > 0 && x <= 1) {
			return fmt.Errorf("share=%s: write a share above 0 and up to 1, e.g. 5%%", value)
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

// String writes a fault as [ParseFault] reads it.
func (f Fault) String() string {
	s := f.Name
	if f.Share > 0 {
		s += fmt.Sprintf("=%.6g%%", 100*f.Share)
	}
	if f.Times > 0 {
		s += fmt.Sprintf(",times=%d", f.Times)
	}
	if f.On != "" {
		s += ",on=" + f.On
	}
	return s
}
