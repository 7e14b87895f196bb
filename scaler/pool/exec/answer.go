package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"flyball/rules"
)

// What the program is asked.
const (
	verbLook   = "look"
	verbGrow   = "grow"
	verbRemove = "remove"
)

// A question is what the program reads.
type question struct {
	Verb    string   `json:"verb"`
	Pool    string   `json:"pool"`
	Step    string   `json:"step,omitempty"`
	Names   []string `json:"names,omitempty"`
	Victims []victim `json:"victims,omitempty"`
	Size    int      `json:"size,omitempty"`
}

// MarshalJSON tells a step's size even where it is 0.
func (q question) MarshalJSON() ([]byte, error) {
	type plain question
	if q.Verb == verbLook {
		return json.Marshal(plain(q))
	}
	return json.Marshal(struct {
		plain
		Size int `json:"size"`
	}{plain(q), q.Size})
}

// A victim is a member that is to end.
type victim struct {
	ID    rules.MemberID `json:"id"`
	Name  string         `json:"name"`
	Asked time.Time      `json:"asked"` // when that was first asked for
}

// An answer is what the program prints.
type answer struct {
	Error      string  `json:"error"`
	NoCapacity bool    `json:"no_capacity"`
	RetryAfter float64 `json:"retry_after"` // seconds

	Terms   *saidTerms   `json:"terms"`
	Members []saidMember `json:"members"`
}

// saidTerms is what the program says that it can do.
type saidTerms struct {
	Names    bool    `json:"names"`
	Victims  bool    `json:"victims"`
	Drains   bool    `json:"drains"`
	Most     int     `json:"most"`
	Lag      int     `json:"lag"` // seconds
	Version  string  `json:"version"`
	Price    float64 `json:"price"`
	Currency string  `json:"currency"`
	Advice   int     `json:"advice"`
}

// saidMember is a member as the program lists it.
type saidMember struct {
	ID      rules.MemberID `json:"id"`
	Name    string         `json:"name"`
	Address string         `json:"address"`
	State   rules.State    `json:"state"`
	Born    time.Time      `json:"born"`
	Since   time.Time      `json:"since"`
	Version string         `json:"version"`
	Note    string         `json:"note"`
}

// parse reads a program's answer: one document of fields that are known.
func parse(text []byte, verb string) (answer, error) {
	var a answer
	if len(bytes.TrimSpace(text)) == 0 {
		return a, errors.New("it printed nothing: an answer is at least {}")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("its answer is not understood: %w", wording(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("there is more after its answer: print one JSON document, and what is for people on standard error")
	}
	if a.RetryAfter < 0 {
		return a, fmt.Errorf("its answer's retry_after is %v: write how many seconds to wait, or leave it out", a.RetryAfter)
	}
	if verb != verbLook && (a.Terms != nil || a.Members != nil) {
		return a, fmt.Errorf("its answer to %s has terms or members, which are for look: print {}, or {\"error\": \"...\"}", verb)
	}
	return a, nil
}

// wording says in an error of a decoder which field it is about.
func wording(err error) error {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) && t.Field != "" {
		return fmt.Errorf("%s is a %s, and not a %s", t.Field, t.Value, t.Type.Kind())
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it ends in the middle")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

func (s saidTerms) terms() (rules.Terms, error) {
	switch {
	case s.Most < 0:
		return rules.Terms{}, fmt.Errorf("terms.most is %d: write how many members there can be, or leave it out", s.Most)
	case s.Lag < 0:
		return rules.Terms{}, fmt.Errorf("terms.lag is %d: write after how many seconds a member that was made is listed at the latest, or leave it out", s.Lag)
	case s.Advice < 0:
		return rules.Terms{}, fmt.Errorf("terms.advice is %d: write a size, or leave it out", s.Advice)
	case s.Price < 0 || math.IsInf(s.Price, 0):
		return rules.Terms{}, fmt.Errorf("terms.price is %v: write what a member costs an hour, or leave it out", s.Price)
	case s.Price > 0 && s.Currency == "":
		return rules.Terms{}, errors.New("terms.price has no currency: add e.g. \"currency\": \"EUR\"")
	}
	return rules.Terms{
		Names: s.Names, Victims: s.Victims, Drains: s.Drains, Most: s.Most, Lag: s.Lag,
		Version: s.Version, Price: s.Price, Currency: s.Currency, Advice: s.Advice,
	}, nil
}

func (s saidMember) member() (rules.Member, error) {
	if s.ID == "" || s.Name == "" {
		return rules.Member{}, errors.New("it has no id, or no name")
	}
	if !slices.Contains([]rules.State{rules.Booting, rules.Ready, rules.Unhealthy, rules.Leaving, rules.Dead}, s.State) {
		return rules.Member{}, fmt.Errorf("state %q is not known: write booting, ready, unhealthy, leaving or dead", s.State)
	}
	if s.Address != "" {
		if _, _, err := net.SplitHostPort(s.Address); err != nil {
			return rules.Member{}, fmt.Errorf("address %q is none: write host:port", s.Address)
		}
	}
	if s.Born.IsZero() {
		return rules.Member{}, errors.New("born is missing: write when it was made, as 2026-11-20T10:00:00Z")
	}
	if s.Since.IsZero() {
		s.Since = s.Born
	}
	return rules.Member{
		ID: s.ID, Name: s.Name, Addr: s.Address, State: s.State, Since: s.Since, Born: s.Born, Version: s.Version, Note: s.Note,
	}, nil
}
