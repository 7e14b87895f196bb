package rules

import "strings"

// meaning says what a reason means in this decision and what to do.
func (d Decision) meaning(r Reason) string {
	switch {
	case r == LowCoverage:
		return d.uncovered()
	case r == BySignal && d.Refused != "":
		return "a signal asks for this size, and " + string(d.Refused) + " refuses it."
	}
	return r.meaning(d.Pool)
}

// uncovered tells signals whose answer names no member, which is the query's fault
// or its scope's, from those that heard of too few.
func (d Decision) uncovered() string {
	var names []string
	few := false
	for _, s := range d.Signals {
		if s.Unlabelled {
			names = append(names, s.Name)
		} else if s.Reason == LowCoverage {
			few = true
		}
	}
	if len(names) == 0 {
		return LowCoverage.meaning(d.Pool)
	}
	text := "the answer does not say which member it is of (" + strings.Join(names, ", ") +
		"), so the pool does not shrink; write `scope: pool` if it is one value for the whole pool, else let the query keep the label member."
	if few {
		text += " Elsewhere " + LowCoverage.meaning(d.Pool)
	}
	return text
}

// meaning says in a sentence what a reason means for a pool and what to do.
func (r Reason) meaning(pool string) string {
	switch r {
	case BySignal:
		return "a signal asks for this size; nothing to do."
	case InBand:
		return "the load fits the size within tolerance; nothing to do."
	case Idle:
		return "all is fresh and nothing is a number, as when no requests come; see the balancer if some should."
	case Stabilising:
		return "a more cautious wish is still within its window; wait, or shorten the window."
	case Warming:
		return "new members do not show their load yet; wait for the end of warmup."
	case RateLimited:
		return "as many came or went as the limit allows in its period; the rest follows, or widen the limit."
	case AtMin:
		return "min keeps the pool from being smaller; lower it if that is too many."
	case AtMax:
		return "max keeps the pool from being larger; raise it if the load is real."
	case Quota:
		return "the provider gives no more members; ask it for a higher quota."
	case Manual:
		return "an operator's floor holds the size; `flyball pool resume " + pool + "` takes it back."
	case MissingData:
		return "a query failed or answered nothing, so the pool does not shrink; run the query and look at the targets it reads."
	case LowCoverage:
		return "too few members were heard of, so the pool does not shrink; find those that are not scraped (`up == 0`), or whose shipper is silent."
	case StaleData:
		return "the newest sample is too old, so the pool does not shrink; find out why scrapes, or shipping, stopped."
	case CorrelatedUnhealthy:
		return "many members failed at once, so it is not they, and none is replaced or removed; look at the database, the network and the probe."
	case Held:
		return "a hold forbids this direction; it ends when its query falls, or answers again."
	case NoEffect:
		return "members that were added did not help; look for another bottleneck, such as the database."
	case Paused:
		return "an operator paused this pool, or all; `flyball pool resume " + pool + "` or `flyball resume-all` ends it."
	case Observing:
		return "the rule only watches; write `mode: act` into it to let it act."
	case Replacing:
		return "a member that died or stayed sick is replaced; what is known of it stands behind its name, the rest in its own log."
	case NoDrain:
		return "the provider neither takes victims nor drains, so removing may cut requests off; put a balancer before the pool."
	case ProviderBackoff:
		return "the provider, or its new members, failed of late; it is tried again soon, and the steps say what failed."
	case Drift:
		return "the pool changed and not by us, or its list is not believed, so nothing is bought or ended for some minutes; look at it at the provider. `flyball pool set " + pool + " <size>` buys up to a floor all the same."
	case Rolling:
		return "members of an older template are replaced one by one; `flyball pool roll " + pool + " --stop` ends it."
	case RollStopped:
		return "a roll ended before all members were replaced; mend what it names, then `flyball pool roll " + pool + "` goes on."
	case DryRun:
		return "the pool is configured to do nothing; take `dry_run` out to let it act."
	}
	return "not known to this version of flyball."
}
