package snapshot

import (
	"context"
	"slices"
)

// Forget drops what is to be written of an entity, and returns once nothing of it is being written any more. Only what is
// offered later is.
func (w *Writer) Forget(ctx context.Context, id string) error {
	w.mu.Lock()
	delete(w.jobs, id)
	if timer, failing := w.failing[id]; failing {
		timer.Stop()
		delete(w.failing, id)
	}
	w.queue = slices.DeleteFunc(w.queue, func(queued string) bool { return queued == id })
	running := w.running[id]
	w.mu.Unlock()
	if running == nil {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
