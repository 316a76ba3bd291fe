package consumer

import (
	"context"

	"github.com/actorkeep/ego/egopb"
)

// isParked reports whether events of an entity wait in the dead-letter store.
func (w *worker) isParked(entity string) bool {
	if !w.parks.Load() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parked[entity]
}

func (w *worker) setParked(entity string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked[entity] = true
	w.parks.Store(true)
}

// loadParked reads which entities have dead letters.
func (w *worker) loadParked() error {
	if w.group.config.Letters == nil {
		return nil
	}
	var ids []string
	err := w.persist("read dead letters", func(ctx context.Context) (err error) {
		ids, err = w.group.config.Letters.ParkedEntities(ctx, w.spec.Name, w.shard)
		return err
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.parked)
	for _, id := range ids {
		w.parked[id] = true
	}
	w.parks.Store(len(w.parked) > 0)
	return nil
}

// park puts an event into the dead-letter store.
func (w *worker) park(it *item, reason error) error {
	letter := w.letter(it, reason)
	if err := w.store([]*egopb.DeadLetter{letter}); err != nil {
		return err
	}
	w.setParked(it.entity())
	it.done.Store(true)
	return nil
}

// parkBehind puts an event into the dead-letter store because one of its entity is there.
func (w *worker) parkBehind(it *item) error { return w.park(it, nil) }

// parkHeld parks those of a lane whose entities are parked already, and returns the others.
func (w *worker) parkHeld(lane []*item) ([]*item, error) {
	if !w.parks.Load() {
		return lane, nil
	}
	var (
		letters    []*egopb.DeadLetter
		held, free []*item
	)
	for _, it := range lane {
		if w.isParked(it.entity()) {
			letters, held = append(letters, w.letter(it, nil)), append(held, it)
		} else {
			free = append(free, it)
		}
	}
	if len(held) == 0 {
		return free, nil
	}
	if err := w.store(letters); err != nil {
		return nil, err
	}
	for _, it := range held {
		it.done.Store(true)
	}
	return free, nil
}

// store makes dead letters durable, which comes before the offset moves past them.
func (w *worker) store(letters []*egopb.DeadLetter) error {
	err := w.persist("park events", func(ctx context.Context) error {
		return w.group.config.Letters.ParkEvents(ctx, w.hold.lease, letters)
	})
	if err != nil {
		return err
	}
	w.counts.parked.Add(uint64(len(letters)))
	w.gaveUp(letters...)
	return nil
}
