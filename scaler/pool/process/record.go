package process

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flyball/rules"
)

// record is what is known of one member, on disk. Without a PID it is an intent.
type record struct {
	ID     rules.MemberID `json:"id"` // the name and something that no successor of that name has
	Name   string         `json:"name"`
	Port   int            `json:"port"`
	Born   time.Time      `json:"born"`
	PID    int            `json:"pid,omitempty"`
	Start  uint64         `json:"start,omitempty"`  // field 22 of /proc/pid/stat: clock ticks since boot
	Boot   string         `json:"boot,omitempty"`   // which boot
	Opened bool           `json:"opened,omitempty"` // the gate was told to become the member
	Asked  time.Time      `json:"asked,omitzero"`   // when it was first asked to end
	Told   bool           `json:"told,omitempty"`   // the wish reached the process
	Ended  time.Time      `json:"ended,omitzero"`   // when it was seen to have ended by itself
	Status string         `json:"status,omitempty"`
}

func newRecord(name string, port int, now time.Time) record {
	id := rules.MemberID(name + "." + strings.ToLower(rand.Text()[:8]))
	return record{ID: id, Name: name, Port: port, Born: now}
}

func (r record) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port)) }

func (r record) member() rules.Member {
	m := rules.Member{ID: r.ID, Name: r.Name, Addr: r.addr(), State: rules.Booting, Since: r.Born, Born: r.Born}
	m.Note = "pid " + strconv.Itoa(r.PID)
	switch {
	case !r.Ended.IsZero():
		m.State, m.Since, m.Note = rules.Dead, r.Ended, r.Status
	case !r.Asked.IsZero():
		m.State, m.Since = rules.Leaving, r.Asked
	}
	return m
}

func (p *Pool) path(name string) string   { return filepath.Join(p.dir, name+".json") }
func (p *Pool) output(name string) string { return filepath.Join(p.dir, name+".log") }

// read returns every record. One that cannot be read is an error and not a
// member less: to go on without it could double that member.
func (p *Pool) read() ([]record, error) {
	paths, err := filepath.Glob(filepath.Join(escapeGlob(p.dir), "[A-Za-z0-9]*.json"))
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	var rs []record
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read record: %w", err)
		}
		r, err := decodeRecord(raw)
		if err != nil || p.path(r.Name) != path {
			return nil, fmt.Errorf("read record %s (end its process by hand, then remove the file): %w", path, errors.Join(err, errRecord))
		}
		rs = append(rs, r)
	}
	return rs, nil
}

var errRecord = errors.New("this is no record of a member")

func decodeRecord(raw []byte) (record, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return record{}, err
	}
	if r.ID == "" || !memberName.MatchString(r.Name) || r.Port < 1 || r.Port > 65535 || r.PID < 0 || r.PID == 1 {
		return record{}, errRecord
	}
	return r, nil
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

// write makes a record durable: after a crash there is the old one or the new.
func (p *Pool) write(r record) error {
	raw, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	tmp := filepath.Join(p.dir, "."+r.Name+".json")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(tmp, p.path(r.Name)); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// forget removes a record, and what its process left behind in its group.
func (p *Pool) forget(r record) error {
	r.sweep()
	if err := os.Remove(p.path(r.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget record: %w", err)
	}
	p.pruneOutputs()
	return nil
}

// freePort returns the lowest port of the range that no record has and nobody
// listens at.
func (p *Pool) freePort(rs []record) (int, error) {
	taken := map[int]bool{}
	for _, r := range rs {
		taken[r.Port] = true
	}
	strangers := 0
	for port := p.first; port <= p.last; port++ {
		if taken[port] {
			continue
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			strangers++
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("try port %d: %w", port, err)
		}
		return port, nil
	}
	return 0, fmt.Errorf("%w of %s: members have %d, others %d", ErrNoPort, p.cfg.Ports, len(taken), strangers)
}
