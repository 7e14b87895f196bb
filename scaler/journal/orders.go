package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"flyball/rules"
)

// All is the target of an order to every pool.
const All = "all"

// The kinds of orders.
const (
	PauseOrder = "pause" // nothing is done
	FloorOrder = "floor" // at least so many members
	RollOrder  = "roll"  // members of older templates are replaced one by one
)

// OrderBody is an operator's act as an entry.
type OrderBody struct {
	Kind   string       `json:"kind"`
	Order  *rules.Order `json:"order,omitempty"`  // nil: taken back by nobody we know
	Lifted bool         `json:"lifted,omitempty"` // the order of this kind is taken back; Order says by whom and why
}

// Standing is what operators said of one target and have not taken back. An order
// whose time is over may still be in it: ask [rules.Order.In].
type Standing struct {
	Pause *rules.Order `json:"pause,omitempty"`
	Floor *rules.Order `json:"floor,omitempty"`
	Roll  *rules.Order `json:"roll,omitempty"`
}

// SetOrder writes an operator's order for a target, [All] or pool/<name>, in the
// place of the one of that kind. Nil takes it back; so does an order that ends no
// later than at, which tells by whom and why. When it returns without an error
// it is on the disk.
func (j *Journal) SetOrder(target, kind string, o *rules.Order, at time.Time) error {
	if kind != PauseOrder && kind != FloorOrder && kind != RollOrder {
		return fmt.Errorf("journal order: kind %q is none of %s, %s and %s", kind, PauseOrder, FloorOrder, RollOrder)
	}
	j.ordering.Lock()
	defer j.ordering.Unlock()
	j.standing = nil
	b := OrderBody{Kind: kind, Order: o, Lifted: !o.In(at)}
	err := j.write(j.sure, "order", func(w *writing) error {
		if _, err := add(w, Entry{At: at, Kind: Order, Target: target}, b); err != nil {
			return err
		}
		if b.Lifted {
			_, err := w.Exec(`DELETE FROM orders WHERE target = ? AND kind = ?`, target, kind)
			return err
		}
		text, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("encode order: %w", err)
		}
		_, err = w.Exec(`INSERT INTO orders (target, kind, body) VALUES (?, ?, ?)
			ON CONFLICT (target, kind) DO UPDATE SET body = excluded.body`, target, kind, string(text))
		return err
	})
	if err != nil {
		return fmt.Errorf("journal order for %s: %w", target, err)
	}
	return nil
}

// Orders returns what stands, by target. Every judgement asks, so it is kept at hand.
func (j *Journal) Orders() (map[string]Standing, error) {
	j.ordering.Lock()
	defer j.ordering.Unlock()
	if j.standing == nil {
		all, err := j.readOrders()
		if err != nil {
			return nil, err
		}
		j.standing = all
	}
	return maps.Clone(j.standing), nil
}

func (j *Journal) readOrders() (map[string]Standing, error) {
	rows, err := j.read.Query(`SELECT target, kind, body FROM orders`)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	defer rows.Close()
	all := map[string]Standing{}
	for rows.Next() {
		var target, kind, body string
		if err := rows.Scan(&target, &kind, &body); err != nil {
			return nil, fmt.Errorf("read orders: %w", err)
		}
		var o rules.Order
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			return nil, fmt.Errorf("decode %s order for %s: %w", kind, target, err)
		}
		s := all[target]
		switch kind {
		case PauseOrder:
			s.Pause = &o
		case FloorOrder:
			s.Floor = &o
		case RollOrder:
			s.Roll = &o
		}
		all[target] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return all, nil
}
