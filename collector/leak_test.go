package collector

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// awaitNoGoroutines waits until no goroutine but the test's own runs code of the
// packages named. Some of upstream's end a moment after they were told to.
func awaitNoGoroutines(t *testing.T, packages ...string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		buf := make([]byte, 1<<20)
		var left []string
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "testing.tRunner") {
				continue
			}
			for _, p := range packages {
				if strings.Contains(g, p) {
					left = append(left, g)
					break
				}
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines run on:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		runtime.Gosched()
		<-time.After(time.Millisecond)
	}
}
