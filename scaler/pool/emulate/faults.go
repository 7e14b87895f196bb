package emulate

import (
	"fmt"
	"slices"
	"strings"
)

// planted is a fault in the world, and how often it has befallen.
type planted struct {
	Fault
	befallen int
}

// faults are those there are, each with what it does.
func faults() [][2]string {
	return [][2]string{
		{"error_500", "requests: refused with 500, nothing is done"},
		{"error_503", "requests: refused with 503, nothing is done"},
		{"too_many", "requests: refused as too many, with the time to wait if the cloud says one"},
		{"lost_before", "requests: the connection breaks, nothing is done"},
		{"lost_after", "requests: it is done, and the connection breaks before the answer"},
		{"slow", "requests: it is done, and the answer comes after 10 s"},
		{"duplicate", "requests: it is done twice, and the second answer is given"},
		{"list_lag", "machines: they are in lists 30 s late, and linger there for 30 s when they are gone"},
		{"partial_list", "requests: half of the list is missing"},
		{"sold_out", "requests to make machines: there are none of this kind"},
		{"limit", "requests to make machines: the account may have no more"},
		{"half_create", "requests to make several machines: every second one is not made"},
		{"accepted_then_gone", "machines: their making is accepted, and they are not found afterwards"},
		{"pending_event", "requests to change or end a machine: refused, something else is under way"},
		{"slow_boot", "machines: booting takes ten times as long"},
		{"failed_boot", "machines: they never boot"},
		{"never_ready", "machines: they boot, and their program never answers"},
		{"deaf", "machines: they do not obey a shutdown"},
	}
}

// Names are those of the faults that can be planted.
func Names() []string {
	var out []string
	for _, f := range faults() {
		out = append(out, f[0])
	}
	return out
}

// About says in a line what a fault befalls and does; "": there is no such fault.
func About(name string) string {
	for _, f := range faults() {
		if f[0] == name {
			return f[1]
		}
	}
	return ""
}

// Plant adds a fault to those that befall. It panics if there is none of that name,
// since a test whose fault does not exist shows nothing.
func (w *World) Plant(f Fault) {
	if About(f.Name) == "" {
		panic(fmt.Sprintf("plant: there is no fault %q; there are %s", f.Name, strings.Join(Names(), ", ")))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, &planted{Fault: f})
}

// Heal takes all faults away, or those of the names given, and returns how many. What
// they did stays done: a machine that does not boot still does not.
func (w *World) Heal(names ...string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	had := len(w.faults)
	w.faults = slices.DeleteFunc(w.faults, func(p *planted) bool {
		return len(names) == 0 || slices.Contains(names, p.Name)
	})
	return had - len(w.faults)
}

// Befallen counts how often faults of a name have befallen since they were planted
// and not yet healed.
func (w *World) Befallen(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.faults {
		if p.Name == name {
			n += p.befallen
		}
	}
	return n
}

// befalls says whether a fault befalls what is named: a request by its method and
// URI, or a machine by its name. It counts if it does.
func (w *World) befalls(name, on string) bool {
	for _, p := range w.faults {
		if p.Name != name || !strings.HasPrefix(on, p.On) || p.Times > 0 && p.befallen >= p.Times {
			continue
		}
		if p.Share > 0 && w.dice(name+" "+on).Float64() >= p.Share {
			continue
		}
		p.befallen++
		w.tell("fault %s befalls %s", name, on)
		return true
	}
	return false
}
