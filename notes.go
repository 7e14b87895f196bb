package main

import (
	"fmt"

	"flyball/scaler/journal"
)

// A reading is what the journal tells of configuration and rules that were read:
// what is in force since, or why all stayed as it was.
type reading struct {
	By      string `json:"by"`                // start, SIGHUP, or who asked
	Outcome string `json:"outcome"`           // taken_over, refused
	Err     string `json:"err,omitempty"`     // of a refused one
	File    string `json:"file,omitempty"`    // of the configuration in force; "" is none
	Commit  string `json:"commit,omitempty"`  // of the rules in force, if they are as in Git
	Version string `json:"version,omitempty"` // of this program
	Pools   int    `json:"pools"`
	Rules   int    `json:"rules"` // scale rules
}

// noteLoad journals that configuration and rules were read, or refused.
func (a *appliance) noteLoad(by string, refused error) error {
	c := a.config.Load()
	r := reading{
		By: by, Outcome: "taken_over", File: c.File, Commit: a.commit, Version: version,
		Pools: len(c.Pools), Rules: a.ruled,
	}
	if refused != nil {
		r.Outcome, r.Err = "refused", refused.Error()
	}
	return a.journal.Note(journal.Load, "", now(), r)
}

// noteLife journals that the service began or ended. The journal of one that was
// killed tells of two beginnings in a row.
func (a *appliance) noteLife(act string) error {
	body := map[string]string{"act": act, "version": version}
	if err := a.journal.Note(journal.Life, "", now(), body); err != nil {
		return fmt.Errorf("note that the service did %s: %w", act, err)
	}
	return nil
}
