// Package host watches the machine that Flyball runs on, under the names that
// node_exporter gave its metrics, so that dashboards and rules made for those
// work unchanged.
//
// It reads Linux' /proc. Whatever cannot be read costs only itself:
// node_scrape_collector_success tells which part it was.
package host

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
	"golang.org/x/sys/unix"

	"flyball/collector/exporter"
)

// Options says where to look. The zero value is this machine.
type Options struct {
	Proc   string // default /proc
	Sys    string // default /sys
	Logger *slog.Logger
}

// Collector reads the machine anew at every scrape. It is safe for concurrent use.
type Collector struct {
	proc    string
	fs      procfs.FS
	disks   blockdevice.FS
	logger  *slog.Logger
	parts   []part
	mu      sync.Mutex
	descs   map[string]*prometheus.Desc
	highest map[cpuMode]float64
	statfs  func(string, *unix.Statfs_t) error
	now     func() time.Time
}

// A part is one source of metrics, which can fail alone.
type part struct {
	name string
	read func(emit) error
}

// emit gives out one number.
type emit func(m exporter.Metric, v float64, values ...string)

// New makes a collector. It fails if there is no /proc at all.
func New(o Options) (*Collector, error) {
	if o.Proc == "" {
		o.Proc = procfs.DefaultMountPoint
	}
	if o.Sys == "" {
		o.Sys = "/sys"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	fs, err := procfs.NewFS(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("open proc: %w", err)
	}
	disks, err := blockdevice.NewFS(o.Proc, o.Sys)
	if err != nil {
		return nil, fmt.Errorf("open proc and sys: %w", err)
	}
	c := &Collector{
		proc: o.Proc, fs: fs, disks: disks, logger: o.Logger,
		descs: map[string]*prometheus.Desc{}, highest: map[cpuMode]float64{},
		statfs: unix.Statfs, now: time.Now,
	}
	c.parts = []part{
		{"stat", c.stat},
		{"loadavg", c.load},
		{"meminfo", c.memory},
		{"vmstat", c.vmstat},
		{"filefd", c.files},
		{"filesystem", c.filesystems},
		{"diskstats", c.diskstats},
		{"netdev", c.network},
		{"pressure", c.pressure},
		{"uname", c.uname},
		{"time", c.time},
	}
	return c, nil
}

// Describe describes nothing: which metrics there are depends on the machine.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the machine.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	give := func(m exporter.Metric, v float64, values ...string) {
		out <- prometheus.MustNewConstMetric(c.desc(m), m.Kind, v, values...)
	}
	success := exporter.Gauge("node_scrape_collector_success", "Whether a part of the host could be read.", "collector")
	duration := exporter.Gauge("node_scrape_collector_duration_seconds", "How long reading a part of the host took.", "collector")
	for _, p := range c.parts {
		begun := c.now()
		err := p.read(give)
		ok := 1.0
		if err != nil {
			ok = 0
			c.logger.Debug("part of the host cannot be read", "part", p.name, "err", err)
		}
		give(success, ok, p.name)
		give(duration, c.now().Sub(begun).Seconds(), p.name)
	}
}

func (c *Collector) desc(m exporter.Metric) *prometheus.Desc {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.descs[m.Name]
	if d == nil {
		d = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		c.descs[m.Name] = d
	}
	return d
}
