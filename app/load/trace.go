package load

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxBins bounds a trace.
const maxBins = 5_000_000

// ReadTrace reads a trace file, unpacked on the way if its name ends in .gz.
func ReadTrace(name string, timeScale float64) (p Profile, err error) {
	f, err := os.Open(name)
	if err != nil {
		return Profile{}, fmt.Errorf("read trace: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return Profile{}, fmt.Errorf("read trace %s: %w", name, err)
		}
		defer z.Close()
		r = z
	}
	p, err = ParseTrace(r, timeScale)
	if err != nil {
		return Profile{}, fmt.Errorf("read trace %s: %w", name, err)
	}
	return p, nil
}

// ParseTrace reads a load over time as comma-separated lines, in one of two forms:
//
//   - one column: requests per second, a second a line;
//   - two columns, under a header: the start of a bin in seconds (any zero), and
//     either `value`, requests in the bin, or `rate`, requests per second.
//
// A bin is as wide as the smallest distance between two lines; a missing one
// repeats the one before. A time scale of 60 makes an hour pass in a minute; rates
// stay as they are. Lines that begin with # are passed over.
func ParseTrace(r io.Reader, timeScale float64) (Profile, error) {
	if !(timeScale > 0) || math.IsInf(timeScale, 0) {
		return Profile{}, errors.New("parse trace: the time scale must be positive")
	}
	t := &trace{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.line(line); err != nil {
			return Profile{}, fmt.Errorf("parse trace: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return Profile{}, fmt.Errorf("parse trace: %w", err)
	}
	return t.profile(timeScale)
}

// trace is a trace while it is read.
type trace struct {
	header bool // two columns
	counts bool // values are per bin
	at     []float64
	values []float64
	width  float64
}

func (t *trace) line(line string) error {
	first, second, two := strings.Cut(line, ",")
	first, second = strings.TrimSpace(first), strings.TrimSpace(second)
	if _, err := strconv.ParseFloat(first, 64); err != nil && !t.header && len(t.at) == 0 {
		return t.head(second, two)
	}
	if two != t.header {
		return errors.New("two columns need a header, and one column has none")
	}
	if !t.header {
		first, second = strconv.Itoa(len(t.at)), first
	}
	at, err := strconv.ParseFloat(first, 64)
	if err != nil || math.IsNaN(at) || math.Abs(at) > 1e12 {
		return fmt.Errorf("%q is not a time in seconds", first)
	}
	v, err := strconv.ParseFloat(second, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return fmt.Errorf("%q is not a number of requests", second)
	}
	return t.add(at, v)
}

func (t *trace) head(second string, two bool) error {
	if !two {
		return errors.New("not a number of requests per second")
	}
	switch second {
	case "value":
		t.counts = true
	case "rate":
	default:
		return fmt.Errorf("column %q: must be value (requests in the bin) or rate (requests per second)", second)
	}
	t.header = true
	return nil
}

func (t *trace) add(at, v float64) error {
	if n := len(t.at); n > 0 {
		gap := at - t.at[n-1]
		if gap <= 0 {
			return errors.New("the time does not rise")
		}
		if t.width == 0 || gap < t.width {
			t.width = gap
		}
		if n >= maxBins {
			return fmt.Errorf("more than %d bins", maxBins)
		}
	}
	t.at, t.values = append(t.at, at), append(t.values, v)
	return nil
}

func (t *trace) profile(timeScale float64) (Profile, error) {
	if len(t.at) == 0 {
		return Profile{}, errors.New("parse trace: it is empty")
	}
	if t.width == 0 {
		t.width = 1
	}
	var p Profile
	var total float64
	for i, v := range t.values {
		length := t.width
		if i+1 < len(t.at) {
			length = t.at[i+1] - t.at[i]
		}
		if t.counts {
			v /= t.width
		}
		length /= timeScale
		total += length
		if total > MaxLength.Seconds() {
			return Profile{}, fmt.Errorf("parse trace: it is longer than %s; raise the time scale", MaxLength)
		}
		d := time.Duration(length * float64(time.Second))
		if d <= 0 {
			return Profile{}, errors.New("parse trace: the time scale leaves nothing of a bin")
		}
		p.Segments = append(p.Segments, Segment{v, v, d})
	}
	return p, nil
}
