package journal

import (
	"testing"

	"flyball/rules"
)

func TestARollThatGoesOnIsAnotherDecision(t *testing.T) {
	rolling := func(done int) rules.Decision {
		return rules.Decision{Pool: "web", Roll: &rules.Rolled{Version: "v2", Done: done, Of: 8, State: rules.RollUnderWay}}
	}
	switch {
	case !Same(rolling(3), rolling(3)):
		t.Error("the same roll is told twice")
	case Same(rolling(3), rolling(4)), Same(rolling(3), rules.Decision{Pool: "web"}), Same(rules.Decision{Pool: "web"}, rolling(3)):
		t.Error("a roll that went on, began or ended is not told")
	}
}
