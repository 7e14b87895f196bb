package collector

import (
	"fmt"
	"strings"

	promconfig "github.com/prometheus/prometheus/config"

	"flyball/rules"
)

// Check finds what Prometheus' own loader takes and Flyball does not serve. It
// is refused rather than ignored. The paths are those of flyball.yaml.
func Check(c *promconfig.Config) []rules.Fault {
	var out []rules.Fault
	add := func(bad bool, path, text, hint string) {
		if bad {
			out = append(out, rules.Fault{Path: "$.prometheus." + path, Text: text, Hint: hint})
		}
	}
	a := c.AlertingConfig
	add(len(a.AlertmanagerConfigs)+len(a.AlertRelabelConfigs) > 0, "alerting",
		"alerts are not sent to other Alertmanagers", "remove it; alerts are shown at /api/v1/alerts and recorded as ALERTS")
	add(len(c.RemoteReadConfigs) > 0, "remote_read",
		"other servers are not read through the embedded store", "remove it; have the other server write to this one, or scrape its /federate")
	add(len(c.OTLPConfig.PromoteResourceAttributes)+len(c.OTLPConfig.IgnoreResourceAttributes) > 0 || c.OTLPConfig.PromoteAllResourceAttributes, "otlp",
		"OTLP is not received", "remove it; send by remote write")
	add(c.TracingConfig.Endpoint != "", "tracing",
		"Flyball writes no traces", "remove it")
	add(c.Runtime != promconfig.DefaultRuntimeConfig, "runtime",
		"the runtime is not configured here", "remove it; set the environment variable GOGC")
	for i, job := range c.ScrapeConfigs {
		name := job.JobName
		add(strings.HasPrefix(name, ownJobs) || strings.HasPrefix(name, poolJob),
			fmt.Sprintf("scrape_configs[%d].job_name", i),
			fmt.Sprintf("%q is the name of a job that Flyball makes itself", name), "take another name")
	}
	return out
}
