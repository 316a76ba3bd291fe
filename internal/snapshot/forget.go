package snapshot

import (
	"context"
	"fmt"
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

// withdraw deletes a snapshot of an entity that another process has erased before it was written: that process may have
// deleted the snapshots already. It reports whether it was so.
func (w *Writer) withdraw(ctx context.Context, job *Job) (bool, error) {
	if w.config.Erasure == nil {
		return false, nil
	}
	id := job.Snapshot.GetPersistenceId()
	latest, err := w.config.Events.GetLatestEvent(ctx, id)
	if err != nil {
		return false, fmt.Errorf("whether the entity was erased is not known: %w", err)
	}
	if !w.config.Erasure(latest) {
		return false, nil
	}
	if err := w.config.Snapshots.DeleteSnapshots(ctx, id, latest.GetSequenceNumber()); err != nil {
		return false, fmt.Errorf("the snapshot of an erased entity was not deleted: %w", err)
	}
	return true, nil
}
