package postgres

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

func at(seconds float64) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestTheTrailBoundsTheAgeOfWhatIsMissing(t *testing.T) {
	var trail trail
	for _, m := range []struct{ second, lsn float64 }{{0, 100}, {10, 100}, {20, 200}, {30, 300}} {
		trail.note(m.lsn, at(m.second))
	}
	for name, c := range map[string]struct {
		lsn         float64
		least, most time.Duration
	}{
		"before all that was seen":  {50, 40 * time.Second, unbounded},
		"where it was seen first":   {100, 20 * time.Second, 30 * time.Second},
		"between what was seen":     {150, 20 * time.Second, 30 * time.Second},
		"at what was seen":          {200, 10 * time.Second, 20 * time.Second},
		"at the end that was known": {300, 0, 10 * time.Second},
		"after it":                  {350, 0, 10 * time.Second},
	} {
		if least, most := trail.behind(c.lsn, at(40)); least != c.least || most != c.most {
			t.Errorf("%s: between %s and %s, want %s and %s", name, least, most, c.least, c.most)
		}
	}
}

func TestATrailOfAnotherHistoryBeginsAnew(t *testing.T) {
	var trail trail
	trail.note(500, at(0))
	trail.note(400, at(10))
	if least, most := trail.behind(450, at(20)); least != 0 || most != 10*time.Second {
		t.Errorf("between %s and %s", least, most)
	}
}

func TestAnEmptyTrailKnowsNothing(t *testing.T) {
	var trail trail
	if least, most := trail.behind(1, at(0)); least != 0 || most != unbounded {
		t.Errorf("between %s and %s", least, most)
	}
}

// Somebody writes at random times, and we look at others: however long it goes
// on, the true age lies between the bounds.
func TestTheTrueAgeIsAlwaysWithinTheBounds(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var trail trail
		var written []float64 // when each byte was
		now := 0.0
		for range 3 * mostMarks {
			for range r.IntN(4) {
				now += r.Float64()
				written = append(written, now)
			}
			now += r.Float64()
			trail.note(float64(len(written)), at(now))
			if len(written) == 0 {
				continue
			}
			replayed := r.IntN(len(written))
			now += r.Float64() / 10
			age := at(now).Sub(at(written[replayed]))
			if least, most := trail.behind(float64(replayed), at(now)); age < least || age > most {
				t.Fatalf("seed %d: byte %d of %d is %s old, which is not between %s and %s", seed, replayed, len(written), age, least, most)
			}
		}
		if len(trail.marks) > mostMarks {
			t.Fatalf("the trail has %d marks", len(trail.marks))
		}
	}
}

func TestLag(t *testing.T) {
	said := func(s float64) pgtype.Float8 { return pgtype.Float8{Float64: s, Valid: true} }
	unsaid := pgtype.Float8{}
	known := &trail{}
	known.note(100, at(0))
	known.note(200, at(10))
	for name, c := range map[string]struct {
		trail *trail
		lag   lag
		want  float64
		known bool
	}{
		"all is there, though an old lag is shown":        {known, lag{200, 200, said(5)}, 0, true},
		"all is there, and nobody wrote for an hour":      {known, lag{200, 200, said(3600)}, 0, true},
		"more is there than the end that was read before": {known, lag{200, 201, unsaid}, 0, true},
		"as the server says":                              {known, lag{300, 150, said(12)}, 12, true},
		"the server's value stands still":                 {known, lag{300, 150, said(1)}, 10, true},
		"the age of the last transaction, and not a lag":  {known, lag{300, 150, said(3600)}, 20, true},
		"not said, but seen":                              {known, lag{300, 150, unsaid}, 10, true},
		"not said, and older than what was seen":          {known, lag{300, 50, unsaid}, 0, false},
		"said, and older than what was seen":              {known, lag{300, 50, said(3600)}, 3600, true},
		"first scrape, not said":                          {&trail{}, lag{300, 50, unsaid}, 0, false},
		"first scrape, said":                              {&trail{}, lag{300, 50, said(7)}, 7, true},
	} {
		if got, ok := c.lag.seconds(c.trail, at(20)); got != c.want || ok != c.known {
			t.Errorf("%s: %g, known %t, want %g, %t", name, got, ok, c.want, c.known)
		}
	}
}
