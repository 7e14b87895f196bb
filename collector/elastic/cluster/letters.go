package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Letters are the dead letters in a folder.
type Letters struct {
	File  string // of the newer ones, whether it is there or not
	Count int    // in both files

	// The newest one that can be read; zero if there is none.
	At      time.Time
	Stream  string
	Refusal Refusal
}

// DeadLetters reads what [Cluster.Bury] wrote to dir. Documents may be buried
// meanwhile.
func DeadLetters(dir string) (Letters, error) {
	all := Letters{File: lettersOf(dir)}
	for _, file := range []string{filepath.Join(dir, earlierName), all.File} {
		if err := all.add(file); err != nil {
			return all, fmt.Errorf("read dead letters: %w", err)
		}
	}
	return all, nil
}

// lettersOf is the file of a folder that dead letters are written to, from the root
// on if that can be told.
func lettersOf(dir string) string {
	file := filepath.Join(dir, graveName)
	if whole, err := filepath.Abs(file); err == nil {
		return whole
	}
	return file
}

// add counts the lines of a file, which may be missing, and keeps the last one.
func (l *Letters) add(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var last []byte
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // a line that has not ended is being written, or a crash cut it
			l.keep(last)
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			l.Count++
			last = line
		}
	}
}

// keep takes over what the newest letter says.
func (l *Letters) keep(line []byte) {
	var d letter
	if json.Unmarshal(line, &d) == nil {
		l.At, l.Stream, l.Refusal = d.At, d.Stream, d.Refusal
	}
}
