package emulate

import (
	"net/netip"
	"slices"
	"time"
)

// power is what a machine's hypervisor knows of it.
type power int

const (
	booting power = iota
	running
	halted
)

// A machine is what both clouds rent out. Its times are set ahead and come by
// themselves; all of it is read and written with the world held.
type machine struct {
	name, userData string
	born           time.Time
	power          power
	boots          time.Time  // when it is up; zero: never, or it is
	ends           time.Time  // when a shutdown that it obeys is done; zero: none is under way
	addr           netip.Addr // from its first boot on
	failed         bool       // it does not boot, and never will
	mute           bool       // it is up and its program is not, and never will be
	dead           bool       // its program ended; the next boot starts it again
	deaf           bool       // it does not obey a shutdown
}

// newMachine makes a machine that boots in its time. The faults that are for machines
// befall it now.
func (w *World) newMachine(name, userData string) *machine {
	d := w.dice("machine " + name)
	m := &machine{name: name, userData: userData, born: w.at}
	boot := between(d, w.o.BootMin, w.o.BootMax)
	if w.befalls("slow_boot", name) {
		boot *= 10
	}
	m.failed = w.befalls("failed_boot", name)
	m.mute = w.befalls("never_ready", name)
	m.deaf = w.befalls("deaf", name)
	if !m.failed {
		m.boots = w.at.Add(boot)
	}
	w.machines = append(w.machines, m)
	w.tell("machine %s is made", name)
	return m
}

// serving says whether its program answers, as far as the world knows.
func (m *machine) serving() bool {
	return m.power == running && !m.mute && !m.dead
}

// settleMachines boots and ends what is due.
func (w *World) settleMachines() {
	for _, m := range w.machines {
		if w.due(m.boots) {
			w.up(m)
		}
		if w.due(m.ends) {
			w.halt(m)
		}
	}
}

// up is the end of a boot. A program that cannot be started is a boot that failed.
func (w *World) up(m *machine) {
	m.boots = time.Time{}
	if w.o.Machines != nil && !m.mute {
		addr, err := w.o.Machines.Boot(m.name, m.userData)
		if err != nil {
			m.failed = true
			w.tell("machine %s does not boot: %v", m.name, err)
			return
		}
		m.addr = addr
	}
	if !m.addr.IsValid() {
		m.addr = w.address()
	}
	m.power, m.dead = running, false
	if m.mute {
		w.tell("machine %s is up at %s, and its program never answers", m.name, m.addr)
	} else {
		w.tell("machine %s serves at %s", m.name, m.addr)
	}
}

// shutdown asks a machine to end, which takes 2 to 10 s, or for ever.
func (w *World) shutdown(m *machine) {
	if m.power != running || !m.ends.IsZero() {
		return
	}
	if m.deaf {
		w.tell("machine %s is asked to end, and does not obey", m.name)
		return
	}
	w.tell("machine %s is asked to end", m.name)
	if w.o.Machines != nil && m.serving() {
		w.o.Machines.Shutdown(m.name)
	}
	m.ends = w.at.Add(between(w.dice("shutdown "+m.name), 2*time.Second, 10*time.Second))
}

// halt ends a machine at once. It stays, and can be started again.
func (w *World) halt(m *machine) {
	if m.power != halted {
		w.tell("machine %s has ended", m.name)
	}
	w.cut(m)
}

// cut takes a machine's power away.
func (w *World) cut(m *machine) {
	w.kill(m)
	m.power, m.boots, m.ends = halted, time.Time{}, time.Time{}
}

// kill ends a machine's program; the machine stays up.
func (w *World) kill(m *machine) {
	if w.o.Machines != nil && m.serving() {
		w.o.Machines.Halt(m.name)
	}
	m.dead = true
}

// start boots a machine that was halted.
func (w *World) start(m *machine) {
	if m.power != halted || m.failed {
		return
	}
	w.tell("machine %s is started", m.name)
	m.power = booting
	m.boots = w.at.Add(between(w.dice("machine "+m.name), w.o.BootMin, w.o.BootMax))
}

// remove ends a machine for good.
func (w *World) remove(m *machine) {
	w.cut(m)
	w.tell("machine %s is gone", m.name)
	w.machines = slices.DeleteFunc(w.machines, func(o *machine) bool { return o == m })
}
