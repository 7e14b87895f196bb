package load

// Knee is the step at which throughput stopped growing: more load brought longer
// waits and no more answers.
type Knee struct {
	Step       string  `json:"step"`
	Level      float64 `json:"level"` // users or requests per second, mean
	Throughput float64 `json:"throughput"`
	P99        float64 `json:"p99_ms"`
}

// growth is how much more throughput counts as growth; where the load grows by
// less than twice that, half of the load's growth does.
const growth = 0.10

// findKnee names the first step that no higher step outdid, or nil if throughput
// grew to the end or the steps do not rise.
func findKnee(steps []StepResult) *Knee {
	up := ascending(steps)
	for i, s := range up {
		later := up[i+1:]
		if len(later) == 0 {
			return nil
		}
		if !outdone(s, later) {
			return &Knee{Step: s.Name, Level: s.Level, Throughput: s.Throughput, P99: s.P99}
		}
	}
	return nil
}

func outdone(s StepResult, later []StepResult) bool {
	for _, l := range later {
		enough := min(growth, (l.Level/s.Level-1)/2)
		if l.Throughput >= s.Throughput*(1+enough) && l.Throughput > s.Throughput {
			return true
		}
	}
	return false
}

// ascending is the steps up to the first that does not raise the load.
func ascending(steps []StepResult) []StepResult {
	for i := range steps {
		if steps[i].Level <= 0 || i > 0 && steps[i].Level <= steps[i-1].Level {
			return steps[:i]
		}
	}
	return steps
}
