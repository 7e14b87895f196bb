package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	graveName   = "dead-letters.ndjson"
	earlierName = "dead-letters.1.ndjson"
	mostGrave   = 64 << 20 // bytes of each of the two files
	mostTold    = 1000     // streams and reasons that are logged
)

// A grave is the file of dead letters.
type grave struct {
	dir string

	mu   sync.Mutex
	told map[string]bool // streams and reasons that were logged
}

// A letter is one line of the file.
type letter struct {
	At       time.Time `json:"at"`
	Stream   string    `json:"stream"`
	ID       string    `json:"id,omitempty"`
	Refusal  Refusal   `json:"refusal"`
	Document any       `json:"document"` // as it is; as a text if it is no JSON
}

// Bury appends documents that are given up, and why, by the same index, to
// dead-letters.ndjson in Options.Dir, counts them, and logs once per stream and
// reason. The file is its owner's alone and has at most 64 MB; then it becomes
// dead-letters.1.ndjson, in place of the one before. What was written is durable
// when Bury returns. It may be called concurrently.
func (c *Cluster) Bury(docs []Document, why []Refusal) error {
	if len(docs) != len(why) {
		return fmt.Errorf("bury documents: there are %d, and %d refusals", len(docs), len(why))
	}
	if c.grave.dir == "" {
		return errors.New("bury documents: there is no folder for dead letters")
	}
	if len(docs) == 0 {
		return nil
	}
	lines, err := letters(docs, why, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("bury documents: %w", err)
	}
	c.grave.mu.Lock()
	defer c.grave.mu.Unlock()
	size, err := c.grave.append(lines)
	if err != nil {
		return fmt.Errorf("bury documents: %w", err)
	}
	c.options.Metrics.letters.Set(float64(size))
	for i, d := range docs {
		c.mourn(d, why[i])
	}
	return nil
}

// mourn counts and tells of one dead letter. The caller holds the grave's lock.
func (c *Cluster) mourn(d Document, why Refusal) {
	c.options.Metrics.buried.WithLabelValues(d.Stream, c.options.Metrics.word(why.Type)).Inc()
	c.health.count(func(s *Status) { s.Buried++ })
	if c.grave.first(d.Stream + " " + why.Type) {
		c.options.Log.Warn("elasticsearch refuses documents: they are in the file of dead letters, as further ones like this will be", "file",
			filepath.Join(c.grave.dir, graveName), "stream", d.Stream, "status", why.Status, "type", why.Type, "reason", why.Reason, "field", why.Field)
	}
}

// first says whether this is told for the first time.
func (g *grave) first(what string) bool {
	if g.told[what] || len(g.told) >= mostTold {
		return false
	}
	if g.told == nil {
		g.told = map[string]bool{}
	}
	g.told[what] = true
	return true
}

// letters are the lines of documents.
func letters(docs []Document, why []Refusal, at time.Time) ([][]byte, error) {
	lines := make([][]byte, len(docs))
	for i, d := range docs {
		l := letter{At: at, Stream: d.Stream, ID: d.ID, Refusal: why[i], Document: string(d.Body)}
		if json.Valid(d.Body) {
			l.Document = json.RawMessage(d.Body)
		}
		line, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		lines[i] = append(line, '\n')
	}
	return lines, nil
}

// append writes lines to the file's end, and returns its size. The caller holds
// the lock.
func (g *grave) append(lines [][]byte) (int64, error) {
	for len(lines) > 0 {
		size, err := g.size()
		if err != nil {
			return 0, err
		}
		n, bytes := fitting(lines, mostGrave-size)
		if n == 0 && size > 0 {
			if err := os.Rename(g.file(graveName), g.file(earlierName)); err != nil {
				return 0, err
			}
			continue
		}
		if n == 0 { // a line larger than a file
			n, bytes = 1, len(lines[0])
		}
		if err := g.write(lines[:n], bytes); err != nil {
			return 0, err
		}
		lines = lines[n:]
	}
	return g.size()
}

// fitting is how many of the lines fit into room, and how many bytes they have.
func fitting(lines [][]byte, room int64) (n, bytes int) {
	for _, l := range lines {
		if int64(bytes+len(l)) > room {
			break
		}
		bytes += len(l)
		n++
	}
	return n, bytes
}

func (g *grave) file(name string) string { return filepath.Join(g.dir, name) }

func (g *grave) size() (int64, error) {
	s, err := os.Stat(g.file(graveName))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return s.Size(), nil
}

// write appends lines of so many bytes, after the end of a line, which a crash may
// have cut.
func (g *grave) write(lines [][]byte, bytes int) error {
	f, err := os.OpenFile(g.file(graveName), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	all := make([]byte, 0, bytes+1)
	if !ended(f) {
		all = append(all, '\n')
	}
	for _, l := range lines {
		all = append(all, l...)
	}
	_, err = f.Write(all)
	return errors.Join(err, f.Sync(), f.Close())
}

// ended says whether a file is empty or ends with the end of a line.
func ended(f *os.File) bool {
	s, err := f.Stat()
	if err != nil || s.Size() == 0 {
		return true
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], s.Size()-1)
	return err != nil || last[0] == '\n'
}
