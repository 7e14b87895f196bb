package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// note is what is kept of one member beside what the engine keeps.
type note struct {
	Addr  string    `json:"addr,omitempty"` // the last that it had: engines forget it at its end
	Asked time.Time `json:"asked,omitzero"` // when it was first asked to end
	Told  bool      `json:"told,omitempty"` // the wish reached the engine
}

// notesFile is below the pool's folder: notes by container ID, as JSON.
const notesFile = "members.json"

// noted returns what is known of a member.
func (p *Pool) noted(id string) (note, error) {
	notes, err := p.readNotes()
	return notes[id], err
}

// amend changes notes and makes the change durable; change says whether there was one.
func (p *Pool) amend(change func(map[string]note) bool) error {
	p.noting.Lock()
	defer p.noting.Unlock()
	notes, err := p.readNotes()
	if err != nil || !change(notes) {
		return err
	}
	raw, err := json.MarshalIndent(notes, "", "\t")
	if err == nil {
		err = p.writeFile(notesFile, raw)
	}
	if err != nil {
		return fmt.Errorf("write what is known of members: %w", err)
	}
	return nil
}

// readNotes reads the notes anew, for around a reload two pools share the file.
// Notes that cannot be read are an error: without them a member that leaves would
// look like one that failed.
func (p *Pool) readNotes() (map[string]note, error) {
	path := filepath.Join(p.dir, notesFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]note{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is known of members: %w", err)
	}
	notes, err := decodeNotes(raw)
	if err != nil {
		return nil, fmt.Errorf("read what is known of members in %s (without the file, members that were asked to end count as living): %w", path, err)
	}
	return notes, nil
}

func decodeNotes(raw []byte) (map[string]note, error) {
	notes := map[string]note{}
	if err := json.Unmarshal(raw, &notes); err != nil {
		return nil, err
	}
	if notes == nil {
		return nil, errors.New("there are no notes in it")
	}
	return notes, nil
}

// writeFile makes a file durable: after a crash there is the old one or the new.
func (p *Pool) writeFile(name string, raw []byte) error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, "."+name+".*") // around a reload two pools may write
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(p.dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one that counts
	}
	return err
}
