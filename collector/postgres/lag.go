package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// A lag is how far somebody who is at one position in the WAL is behind the end.
//
// In bytes that is a difference. In seconds it is the age of the oldest WAL that
// is not there yet, and 0 if all is there. What the server says of it is right
// under load and wrong elsewhere: pg_stat_replication shows an old value when the
// load has ended, and for as long as a standby that hangs gives no answer;
// `now() - pg_last_xact_replay_timestamp()` grows while nobody writes, and starts
// at that age when somebody does again. So what it says counts within the bounds
// that the trail of earlier scrapes gives. Who said nothing, and is not on the
// trail, has no lag: it is not known.
type lag struct {
	end, at float64       // positions
	said    pgtype.Float8 // seconds, as the server has them
}

// bytes is the lag in bytes. A position read a moment later may be further than
// the end.
func (l lag) bytes() float64 { return max(l.end-l.at, 0) }

// seconds is the lag in seconds, and whether it is known. The end is on the trail.
func (l lag) seconds(t *trail, now time.Time) (s float64, known bool) {
	if l.at >= l.end {
		return 0, true
	}
	least, most := t.behind(l.at, now)
	switch {
	case !l.said.Valid && most == unbounded:
		return 0, false
	case !l.said.Valid:
		return least.Seconds(), true
	}
	return min(max(l.said.Float64, least.Seconds()), most.Seconds()), true
}
