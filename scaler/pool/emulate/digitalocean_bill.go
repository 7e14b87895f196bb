package emulate

import "time"

// A Bill is what machines cost.
type Bill struct {
	Machines int           // that were ever made, those that run included
	Time     time.Duration // that they existed, together, whether they ran or not
	USD      float64
}

func (b Bill) plus(o Bill) Bill {
	return Bill{b.Machines + o.Machines, b.Time + o.Time, b.USD + o.USD}
}

// bill is that of one Droplet: by the second, from its making until it is gone, off or not.
func (d *DigitalOcean) bill(m *droplet) Bill {
	if m.lost {
		return Bill{}
	}
	until := d.w.at
	if d.w.due(m.gone) {
		until = m.gone
	}
	had := until.Sub(m.born)
	return Bill{1, had, had.Hours() * m.size.PriceHourly}
}

// Bill is what all Droplets have cost so far.
func (d *DigitalOcean) Bill() Bill {
	d.w.hold()
	defer d.w.mu.Unlock()
	b := d.billed
	for _, m := range d.droplets {
		b = b.plus(d.bill(m))
	}
	return b
}
