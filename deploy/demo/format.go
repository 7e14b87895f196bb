package demo

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// spark draws the last columns of a series, stride seconds each, as bars scaled to
// the largest there was.
func spark(ss []sample, f func(sample) float64) string {
	top := 0.0
	for _, s := range ss {
		top = max(top, f(s))
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var out []rune
	for i := max(0, len(ss)-columns*stride); i < len(ss); i += stride {
		high := 0.0
		for _, s := range ss[i:min(i+stride, len(ss))] {
			high = max(high, f(s))
		}
		level := 0
		if top > 0 {
			level = min(int(high/top*float64(len(bars))), len(bars)-1)
		}
		out = append(out, bars[level])
	}
	return strings.Repeat(string(bars[0]), columns-len(out)) + string(out)
}

// clock shows a duration as minutes and seconds.
func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// percent shows a share of one.
func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }

// millis shows milliseconds, from a second on as seconds.
func millis(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.1fs", ms/1000)
	}
	return fmt.Sprintf("%.0fms", ms)
}

// thousands shows a count with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// fit makes a text exactly so many columns wide.
func fit(s string, columns int) string {
	n := utf8.RuneCountInString(s)
	if n > columns {
		return string([]rune(s)[:max(columns-1, 0)]) + "…"
	}
	return s + strings.Repeat(" ", columns-n)
}
