package traffic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// recall reads the table that an earlier balancer kept. Its members count as up
// until a check or a connection says otherwise.
func (b *Balancer) recall() error {
	if b.cfg.State == "" {
		return nil
	}
	raw, err := os.ReadFile(b.cfg.State)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the table of members: %w", err)
	}
	tb, err := decodeTable(raw)
	if err != nil {
		return fmt.Errorf("read the table of members in %s (remove the file to start with none): %w", b.cfg.State, err)
	}
	check := tb.Check
	if b.cfg.Check != (Check{}) {
		check = b.cfg.Check
	}
	b.table.replace(Table{Check: check, Members: tb.Members})
	return nil
}

func decodeTable(raw []byte) (Table, error) {
	var tb Table
	if err := json.Unmarshal(raw, &tb); err != nil {
		return Table{}, fmt.Errorf("decode table: %w", err)
	}
	seen := map[string]bool{}
	for i, m := range tb.Members {
		if err := m.validate(); err != nil {
			return Table{}, fmt.Errorf("decode table: member %d: %w", i, err)
		}
		if seen[string(m.ID)] || seen["@"+m.Addr] {
			return Table{}, fmt.Errorf("decode table: member %d: %s at %s stands there twice", i, m.ID, m.Addr)
		}
		seen[string(m.ID)], seen["@"+m.Addr] = true, true
	}
	return tb, nil
}

// keep writes the table to the state file, so that a balancer that is started
// anew knows its members before Flyball tells it.
func (b *Balancer) keep() error {
	if b.cfg.State == "" {
		return nil
	}
	b.keeping.Lock()
	defer b.keeping.Unlock()
	raw, err := json.MarshalIndent(b.table.table(), "", "\t")
	if err != nil {
		return fmt.Errorf("encode the table of members: %w", err)
	}
	if err := writeFile(b.cfg.State, raw, 0o600); err != nil {
		return fmt.Errorf("keep the table of members: %w", err)
	}
	return nil
}

// keepOrSay is for changes that nobody asked for: there is nobody to tell.
func (b *Balancer) keepOrSay() {
	if err := b.keep(); err != nil {
		b.log.Error("table of members not kept", "err", err)
	}
}

// writeFile replaces a file whole: a reader, and a crash, see the old or the new.
func writeFile(path string, raw []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one that counts
		}
	}()
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
