package container

import (
	"slices"

	"flyball/collector/exporter"
)

// metrics are all metrics of containers. Each carries the labels of its container:
// id, name and image as cAdvisor has them, pool and member of one that belongs to
// a pool, and those of its own labels that the configuration names.
type metrics struct {
	labels []string // of every metric
	from   []string // the container's own labels, at the end of labels

	state, health               exporter.Metric
	unread                      exporter.Metric
	cpu                         exporter.Metric
	faults                      exporter.Metric
	spec                        []reading[*Container]
	usage                       []reading[sample]
	traffic                     []reading[traffic]
	readBytes, writtenBytes     exporter.Metric
	readCount, writtenCount     exporter.Metric
	exit, restarts, oom, seenAt exporter.Metric
	started                     exporter.Metric
}

// A reading is a metric and where its number is found.
type reading[T any] struct {
	exporter.Metric
	of func(T) number
}

// A sample is what one container used.
type sample struct {
	c *Container
	u *usage
}

func newMetrics(from []string) metrics {
	m := metrics{from: from, labels: []string{"id", "name", "image", "pool", "member"}}
	for _, l := range from {
		m.labels = append(m.labels, labelName(l))
	}
	m.state = m.gauge("container_state", "1 for the state that the container is in: created, running, paused, restarting, removing, exited, dead or unknown.", "state")
	m.health = m.gauge("container_health_state", "What the container's own check says: 1 healthy, 0 unhealthy, -1 not known yet. Absent if it has none.")
	m.exit = m.gauge("container_exit_code", "Code that the container ended with. Absent while it runs.")
	m.restarts = m.counter("container_restarts_total", "How often the engine started the container again by its restart policy.")
	m.oom = m.counter("container_oom_events_total", "How often the kernel killed something in the container for want of memory, since it is watched.")
	m.started = m.gauge("container_start_time_seconds", "When the container was last started, in seconds since the epoch. Absent while it does not run.")
	m.seenAt = m.gauge("container_last_seen", "When the container was last seen to run, in seconds since the epoch.")
	m.spec = m.ofSpec()

	m.unread = m.gauge("container_stats_missing", "1 while what a container that runs uses cannot be read, with the reason in one word.", "reason")
	m.cpu = m.counter("container_cpu_usage_seconds_total", "CPU time used.", "cpu")
	m.usage = slices.Concat(m.ofCPU(), m.ofMemory(), m.ofTasks())
	m.faults = m.counter("container_memory_failures_total", "Page faults, by kind: pgfault, pgmajfault.", "failure_type", "scope")
	m.traffic = m.ofTraffic()
	m.readBytes = m.counter("container_fs_reads_bytes_total", "Bytes read, by device, major:minor.", "device")
	m.writtenBytes = m.counter("container_fs_writes_bytes_total", "Bytes written, by device, major:minor.", "device")
	m.readCount = m.counter("container_fs_reads_total", "Reads completed, by device, major:minor.", "device")
	m.writtenCount = m.counter("container_fs_writes_total", "Writes completed, by device, major:minor.", "device")
	return m
}

func (m *metrics) gauge(name, help string, more ...string) exporter.Metric {
	return exporter.Gauge(name, help, slices.Concat(m.labels, more)...)
}

func (m *metrics) counter(name, help string, more ...string) exporter.Metric {
	return exporter.Counter(name, help, slices.Concat(m.labels, more)...)
}

func (m *metrics) ofSpec() []reading[*Container] {
	return []reading[*Container]{
		{m.gauge("container_spec_cpu_period", "Period of the CPU quota, in microseconds."), func(c *Container) number { return c.limits.cpuPeriod }},
		{m.gauge("container_spec_cpu_quota", "CPU time that the container may use in each period, in microseconds. Absent: as much as there is."), func(c *Container) number { return c.limits.cpuQuota }},
		{m.gauge("container_spec_cpu_shares", "Weight of the container against others when CPU time is short. Absent: the usual one."), func(c *Container) number { return c.limits.cpuShares }},
		{m.gauge("container_spec_memory_limit_bytes", "Memory that the container may use; 0: as much as there is."), func(c *Container) number { return c.limits.memory.or(figure(0)) }},
		{m.gauge("container_spec_memory_swap_limit_bytes", "Memory and swap together that the container may use; 0: not limited."), func(c *Container) number { return c.limits.swap.or(figure(0)) }},
		{m.gauge("container_spec_memory_reservation_limit_bytes", "Memory that is left to the container when it is short; 0: none."), func(c *Container) number { return c.limits.soft.or(figure(0)) }},
	}
}

func (m *metrics) ofCPU() []reading[sample] {
	return []reading[sample]{
		{m.counter("container_cpu_user_seconds_total", "CPU time used in user mode."), func(s sample) number { return s.u.CPU.Usage.User.seconds() }},
		{m.counter("container_cpu_system_seconds_total", "CPU time used in the kernel."), func(s sample) number { return s.u.CPU.Usage.Kernel.seconds() }},
		{m.counter("container_cpu_cfs_periods_total", "Periods of the CPU quota in which the container wanted to run."), func(s sample) number { return s.u.CPU.Throttling.Periods }},
		{m.counter("container_cpu_cfs_throttled_periods_total", "Periods in which the container had used up its CPU quota."), func(s sample) number { return s.u.CPU.Throttling.Throttled }},
		{m.counter("container_cpu_cfs_throttled_seconds_total", "Time in which the container's threads had to wait for their next CPU quota."), func(s sample) number { return s.u.CPU.Throttling.Time.seconds() }},
		{m.gauge("container_cpu_limit_cores", "Cores that the container may use: its quota or the cores it is pinned to, or else all of the machine."), cores},
	}
}

// cores is the least of a container's quota, the cores that it is pinned to and
// those that there are.
func cores(s sample) number {
	least := s.u.CPU.Online
	for _, n := range []number{s.c.limits.cpus, {s.c.limits.cpuQuota.value / s.c.limits.cpuPeriod.value, s.c.limits.cpuQuota.there}} {
		if n.there && (!least.there || n.value < least.value) {
			least = n
		}
	}
	return least
}

func (m *metrics) ofMemory() []reading[sample] {
	kernel := func(names ...string) func(sample) number {
		return func(s sample) number { return s.u.memory(names...) }
	}
	return []reading[sample]{
		{m.gauge("container_memory_usage_bytes", "Memory used, files in the page cache included."), func(s sample) number { return s.u.Memory.Usage }},
		{m.gauge("container_memory_working_set_bytes", "Memory used without files that were not used for a while; all that is used if the engine does not tell of those."), func(s sample) number { return s.u.workingSet() }},
		{m.gauge("container_memory_limit_bytes", "Memory that the container may use: its limit, or else all of the machine."), func(s sample) number { return s.c.limits.memory.or(s.u.Memory.Limit) }},
		{m.gauge("container_memory_max_usage_bytes", "Most memory that was used."), func(s sample) number { return s.u.Memory.Highest.some() }},
		{m.gauge("container_memory_rss", "Memory that is no file, in bytes."), kernel("total_rss", "rss", "anon")},
		{m.gauge("container_memory_cache", "Files in the page cache, in bytes."), kernel("total_cache", "cache", "file")},
		{m.gauge("container_memory_mapped_file", "Files mapped into memory, in bytes."), kernel("total_mapped_file", "mapped_file", "file_mapped")},
		{m.gauge("container_memory_swap", "Swap used, in bytes."), kernel("total_swap", "swap")},
		{m.counter("container_memory_failcnt", "How often the limit of memory was met."), func(s sample) number { return s.u.Memory.Fails }},
	}
}

func (m *metrics) ofTasks() []reading[sample] {
	return []reading[sample]{
		{m.gauge("container_threads", "Threads of all processes."), func(s sample) number { return s.u.Tasks.Current }},
		{m.gauge("container_threads_max", "Threads that there may be. Absent: not limited."), func(s sample) number { return s.u.Tasks.Limit.or(s.c.limits.tasks) }},
	}
}

func (m *metrics) ofTraffic() []reading[traffic] {
	of := func(name, help string, f func(traffic) number) reading[traffic] {
		return reading[traffic]{m.counter("container_network_"+name+"_total", help, "interface"), f}
	}
	return []reading[traffic]{
		of("receive_bytes", "Bytes received.", func(t traffic) number { return t.ReceivedBytes }),
		of("receive_packets", "Packets received.", func(t traffic) number { return t.ReceivedPackets }),
		of("receive_errors", "Errors while receiving.", func(t traffic) number { return t.ReceivedErrors }),
		of("receive_packets_dropped", "Packets dropped while receiving.", func(t traffic) number { return t.ReceivedDropped }),
		of("transmit_bytes", "Bytes sent.", func(t traffic) number { return t.SentBytes }),
		of("transmit_packets", "Packets sent.", func(t traffic) number { return t.SentPackets }),
		of("transmit_errors", "Errors while sending.", func(t traffic) number { return t.SentErrors }),
		of("transmit_packets_dropped", "Packets dropped while sending.", func(t traffic) number { return t.SentDropped }),
	}
}

// values are the values of [metrics.labels] for a container.
func (m *metrics) values(c *Container) []string {
	pool, member := c.Labels[LabelPool], c.Labels[LabelMember]
	if member != c.Name { // made of a member's image, with its labels, or renamed
		pool, member = "", ""
	}
	vs := []string{c.ID, c.Name, c.Image, pool, member}
	for _, l := range m.from {
		vs = append(vs, c.Labels[l])
	}
	return vs
}

func (m *metrics) ofContainers() []exporter.Metric {
	return append([]exporter.Metric{m.state, m.health, m.exit, m.restarts, m.oom, m.started, m.seenAt}, bare(m.spec)...)
}

func (m *metrics) ofStats() []exporter.Metric {
	return slices.Concat(
		[]exporter.Metric{m.unread, m.cpu}, bare(m.usage), []exporter.Metric{m.faults}, bare(m.traffic),
		[]exporter.Metric{m.readBytes, m.writtenBytes, m.readCount, m.writtenCount},
	)
}

func bare[T any](rs []reading[T]) []exporter.Metric {
	var ms []exporter.Metric
	for _, r := range rs {
		ms = append(ms, r.Metric)
	}
	return ms
}
