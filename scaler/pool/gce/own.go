package gce

import (
	"fmt"

	"google.golang.org/api/compute/v1"
)

// The modes of Google's autoscaler; the older word for the second is ONLY_UP.
const (
	nativeOn           = "ON"
	nativeOff          = "OFF"
	nativeOnlyScaleOut = "ONLY_SCALE_OUT"
	nativeOnlyUp       = "ONLY_UP"
)

// nativeMode is what an autoscaler does; nativeOff if there is none.
func nativeMode(a *compute.Autoscaler) string {
	switch {
	case a == nil:
		return nativeOff
	case a.AutoscalingPolicy == nil || a.AutoscalingPolicy.Mode == "":
		return nativeOn
	case a.AutoscalingPolicy.Mode == nativeOnlyUp:
		return nativeOnlyScaleOut
	default:
		return a.AutoscalingPolicy.Mode
	}
}

// fight says who resizes the group against what is declared, and what to do; "" if
// all is as declared.
func (p *Pool) fight(s *snapshot) string {
	mode := nativeMode(s.native)
	name := ""
	if s.native != nil {
		name = s.native.Name
	}
	switch {
	case p.cfg.Mode == modeDirect && mode != nativeOff:
		return fmt.Sprintf("Google's autoscaler %s is %s and would undo what Flyball does: set its mode to OFF, or declare mode: only_scale_out or mode: floor", name, mode)
	case p.cfg.Mode == modeOnlyScaleOut && mode == nativeOff:
		return "Google's autoscaler is OFF or not there, so nobody would add members: set its mode to ONLY_SCALE_OUT, or declare mode: direct"
	case p.cfg.Mode == modeOnlyScaleOut && mode != nativeOnlyScaleOut:
		return fmt.Sprintf("Google's autoscaler %s is %s and would end members, too: set its mode to ONLY_SCALE_OUT, or declare mode: floor", name, mode)
	case p.cfg.Mode == modeFloor && mode == nativeOff:
		return "Google's autoscaler is OFF or not there, so a least size would mean nothing: set its mode to ON, or declare mode: direct"
	}
	return ""
}
