package pool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// errUnread means that a file is there and cannot be understood.
var errUnread = errors.New("the file cannot be understood")

// recall reads what keep wrote; into stays as it is if there is no such file.
func recall(file string, into any) error {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	return nil
}

// keep writes a file whole, or leaves the one that is there.
func keep(file string, what any) error {
	raw, err := json.Marshal(what)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	return err
}
