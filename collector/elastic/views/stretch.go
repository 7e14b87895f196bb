package views

import "time"

// A stretch is times on a grid, one after another.
type stretch struct {
	from  time.Time
	every time.Duration
	count int
}

func (s stretch) at(i int) time.Time { return s.from.Add(time.Duration(i) * s.every) }

func (s stretch) last() time.Time { return s.at(s.count - 1) }

// index is the number of a time in milliseconds; -1 if it is not of the stretch.
func (s stretch) index(ms int64) int {
	ms -= s.from.UnixMilli()
	i := ms / s.every.Milliseconds()
	if ms < 0 || i >= int64(s.count) || ms%s.every.Milliseconds() != 0 {
		return -1
	}
	return int(i)
}

// floor is the last time of the grid that is not after t. The grid is the same
// whenever it is asked for: multiples of every since 1970.
func floor(t time.Time, every time.Duration) time.Time {
	ms := t.UnixMilli()
	return time.UnixMilli(ms - ms%every.Milliseconds()).UTC()
}
