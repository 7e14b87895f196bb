package main

import (
	"time"

	"flyball/rules"
	"flyball/scaler"
)

// rolled is the status of a pool that is being rolled, changed.
func rolled(change func(*scaler.PoolStatus)) scaler.Status {
	st := status()
	p := &st.Pools[1]
	p.Floor, st.Paused = nil, nil
	p.Terms = &rules.Terms{Names: true, Victims: true, Version: "app-2026-11-21", Price: 0.00893, Currency: "USD", Most: 25, Advice: 4}
	p.Members[0].Version, p.Members[1].Version = "app-2026-10-02", "app-2026-11-21"
	p.Roll = &rules.Order{By: "alice", Why: "image of November", At: clientNow.Add(-time.Minute)}
	p.Decision.Verdict, p.Decision.To, p.Decision.Reason, p.Decision.Signal = rules.Keep, 3, rules.InBand, "cpu"
	p.Decision.Roll = &rules.Rolled{Version: "app-2026-11-21", Done: 3, Of: 8, State: rules.RollUnderWay, Text: "waits: the provider has no capacity and is left alone until 10:05:00: make web-9: the size is sold out"}
	change(p)
	return st
}

func underWay(*scaler.PoolStatus) {}

func halted(p *scaler.PoolStatus) {
	p.Roll = nil
	p.Decision.Roll = &rules.Rolled{Version: "app-2026-11-21", Done: 3, Of: 8, Gone: 2, State: rules.RollHalted, Text: "web-11 and web-12 of the new version turned unhealthy"}
}

func drifting(p *scaler.PoolStatus) {
	p.Roll, p.Decision.Roll = nil, nil
	p.Decision.Reason, p.Decision.Limits = rules.Drift, []rules.Applied{{Name: rules.Drift, From: 6, To: 3, Because: "3 of 6 Droplets are gone, and flyball deleted none"}}
}

// keeping has a member that Flyball runs on, at a balancer that counts no requests.
func keeping(p *scaler.PoolStatus) {
	uncounted := -1
	p.Members[0].Kept, p.Members[0].Open, p.Members[0].Note = true, &uncounted, "s-1vcpu-1gb"
	p.Members[1].Kept, p.Members[1].Version = true, p.Terms.Version
}

func ordered(p *scaler.PoolStatus) { p.Decision.Roll = nil }

func rolledOut(p *scaler.PoolStatus) {
	p.Roll, p.Decision.Roll.State, p.Decision.Roll.Done = nil, rules.RollDone, 8
}
