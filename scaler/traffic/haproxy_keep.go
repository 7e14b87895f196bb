package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// recall reads who is wanted where, unless that is known: around a reload of the
// configuration two have the same backend for a moment, and what one of them did
// the other must not undo.
func (h *HAProxy) recall() error {
	raw, err := os.ReadFile(h.cfg.Table)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("read who has which slot: %w", err)
	}
	if h.slots != nil && bytes.Equal(raw, h.kept) {
		return nil
	}
	t := slots{Socket: h.cfg.Socket, Backend: h.cfg.Backend}
	if raw != nil {
		if t, err = decodeSlots(raw); err != nil {
			return fmt.Errorf("read who has which slot in %s (remove the file, and members are found again by their addresses): %w", h.cfg.Table, err)
		}
	}
	if t.Backend != h.cfg.Backend || t.Socket != h.cfg.Socket {
		h.cfg.Log.Warn("the pool has another backend now; the slots that its members have in the old one stay as they are",
			"old", t.Backend, "at", t.Socket)
		t = slots{Socket: h.cfg.Socket, Backend: h.cfg.Backend, dirty: true}
	}
	h.slots, h.kept = &t, raw
	return nil
}

func decodeSlots(raw []byte) (slots, error) {
	var t slots
	if err := json.Unmarshal(raw, &t); err != nil {
		return slots{}, fmt.Errorf("decode slots: %w", err)
	}
	seen := map[string]bool{}
	for i, p := range t.Places {
		_, former := t.Former[p.Addr]
		homeless := !p.Addr.IsValid() && (p.In || p.Slot != "")
		twice := seen["#"+string(p.ID)] || p.Slot != "" && seen[p.Slot] || p.Addr.IsValid() && seen["@"+p.Addr.String()]
		if p.ID == "" || former || homeless || twice || nobodys(p.Addr) {
			return slots{}, fmt.Errorf("decode slots: place %d: %s in %q at %s cannot be", i, p.ID, p.Slot, p.Addr)
		}
		seen["#"+string(p.ID)], seen[p.Slot], seen["@"+p.Addr.String()] = true, true, true
	}
	return t, nil
}

// keep writes who is wanted where, if that has changed.
func (h *HAProxy) keep() error {
	if !h.slots.dirty {
		return nil
	}
	raw, err := json.MarshalIndent(h.slots, "", "\t")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(h.cfg.Table), 0o755)
	}
	if err == nil {
		err = writeFile(h.cfg.Table, raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep who has which slot: %w", err)
	}
	h.slots.dirty, h.kept = false, raw
	return nil
}

// save writes the state of all servers to where HAProxy reads it at a reload,
// unless it stands there already. Whoever writes has the file's lock while it
// asks HAProxy, so that of several pools none writes what another one has
// changed meanwhile.
func (h *HAProxy) save(ctx context.Context) error {
	err := h.saveLocked(ctx)
	if err != nil {
		return fmt.Errorf("save the state of the servers, which HAProxy would forget at a reload: %w", err)
	}
	return nil
}

func (h *HAProxy) saveLocked(ctx context.Context) error {
	lock, err := waitForLock(ctx, h.cfg.State)
	if err != nil {
		return err
	}
	defer lock.Close()
	text, err := h.runtime.Dump(ctx)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(h.cfg.State)
	if err == nil && lasting(string(old)) == lasting(text) {
		return nil
	}
	return writeFile(h.cfg.State, []byte(text), 0o644) // HAProxy may be another user
}

// waitForLock takes the lock that goes with a file when whoever has it is done.
func waitForLock(ctx context.Context, path string) (*os.File, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		f, err := lockFile(path)
		if !errors.Is(err, errHeld) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock of %s: %w", path, ctx.Err())
		case <-tick.C:
		}
	}
}

// passing are the columns of HAProxy's state that change from moment to moment
// and that it does well without.
func passing() []string {
	return []string{"srv_time_since_last_change", "srv_check_status", "srv_check_result", "srv_check_health", "srv_check_state", "srv_agent_state"}
}

// lasting is HAProxy's state without what passes, to compare two by.
func lasting(state string) string {
	var b strings.Builder
	var skip map[int]bool
	for line := range strings.Lines(state) {
		if strings.HasPrefix(line, "# ") {
			skip = columns(strings.Fields(line[2:]), passing())
		}
		for i, v := range strings.Fields(strings.TrimPrefix(line, "# ")) {
			if !skip[i] {
				b.WriteString(v + " ")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// columns finds the places of names.
func columns(all, names []string) map[int]bool {
	at := map[int]bool{}
	for i, c := range all {
		for _, n := range names {
			at[i] = at[i] || c == n
		}
	}
	return at
}
