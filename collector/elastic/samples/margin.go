package samples

import "time"

// How far behind the present a stretch ends.
const (
	leastMargin = 2 * time.Second
	mostMargin  = 30 * time.Second
)

// A margin follows the lateness of samples: it grows at once, and shrinks slowly.
type margin struct{ now time.Duration }

// late takes notice of a sample that came so much late. What is later than a margin
// may be is no reason to wait for all others.
func (m *margin) late(by time.Duration) {
	if by <= mostMargin {
		m.now = min(max(m.now, by+by/8), mostMargin)
	}
}

// next is the margin of the next round, by and by the least again.
func (m *margin) next() time.Duration {
	d := m.now
	m.now -= (m.now - leastMargin) / 128
	return d
}
