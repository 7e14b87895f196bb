package samples

import (
	"fmt"
	"testing"
	"time"

	"flyball/collector/elastic/cluster"
)

// What is known of series is bounded by what is alive in some windows, not by all that
// came and went in a backlog.
func TestABacklogOfSeriesThatCameAndWentIsNotKeptInMind(t *testing.T) {
	inWorld(t, func(w *world) {
		begin := time.Now().Add(-6 * time.Hour)
		for minute := range 360 { // every five minutes, fifty series take the place of others
			var ps []point
			for i := range 50 {
				ps = append(ps, point{series: named("m", "pod", fmt.Sprint(minute/5, " ", i)), at: begin.Add(time.Duration(minute) * time.Minute), value: 1})
			}
			w.store.scrape(ps...)
		}
		s := w.ship()
		s.reader.most = 500
		most := 0
		w.es.after = func([]cluster.Document) { most = max(most, len(s.reader.cache.series)) }
		w.run(s, 10*time.Minute)
		same(t, w.store.samples(), w.es.samples())
		if most > 600 {
			t.Errorf("%d series were kept in mind, of 50 that are alive at a time", most)
		}
	})
}
