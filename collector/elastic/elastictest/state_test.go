package elastictest

import (
	"encoding/json"
	"sync"
)

// memory keeps state as JSON, as a journal does.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
}

func newMemory() *memory { return &memory{kept: map[string][]byte{}} }

func (m *memory) Keep(who string, state any) error {
	text, err := json.Marshal(state)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[who] = text
	return err
}

func (m *memory) Kept(who string, state any) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.kept[who]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(text, state)
}
