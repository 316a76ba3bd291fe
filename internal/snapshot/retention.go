package snapshot

import (
	"context"
	"errors"
	"fmt"
)

// retain deletes what the policy no longer needs. Events that consumers have not read stay until a later snapshot of the
// entity.
func (w *Writer) retain(ctx context.Context, job *Job) (err error) {
	if !job.Retention.Events && !job.Retention.Snapshots {
		return nil
	}
	defer func() { w.config.Telemetry.Retained(job.Snapshot.GetKind(), err) }()
	id, number := job.Snapshot.GetPersistenceId(), job.Snapshot.GetSequenceNumber()
	var problems []error
	if job.Retention.Events && number > job.Retention.Keep {
		if err := w.deleteEvents(ctx, id, number-job.Retention.Keep); err != nil {
			problems = append(problems, fmt.Errorf("events were not deleted: %w", err))
		}
	}
	if job.Retention.Snapshots && number > 1 {
		if err := w.config.Snapshots.DeleteSnapshots(ctx, id, number-1); err != nil {
			problems = append(problems, fmt.Errorf("snapshots were not deleted: %w", err))
		}
	}
	return errors.Join(problems...)
}

// deleteEvents deletes the events of an entity up to a number, but for those that consumers have not read.
func (w *Writer) deleteEvents(ctx context.Context, id string, number uint64) error {
	if w.config.Unread != nil {
		above, ok, err := w.config.Unread(ctx, id)
		if err != nil {
			return fmt.Errorf("it is not known what consumers have read: %w", err)
		}
		if ok {
			if number, err = w.lastRead(ctx, id, number, above); err != nil || number == 0 {
				return err
			}
		}
	}
	return w.config.Events.DeleteEvents(ctx, id, number)
}

// lastRead returns the highest number of an entity, not above one, whose position is not above another; zero when there is
// none. Positions grow with numbers, so it takes one read when all are read, and a few otherwise.
func (w *Writer) lastRead(ctx context.Context, id string, number, position uint64) (uint64, error) {
	read, err := w.isRead(ctx, id, number, position)
	if read || err != nil {
		return number, err
	}
	low, high := uint64(0), number // low is read, or nothing; high is not
	for high-low > 1 {
		middle := low + (high-low)/2
		if read, err = w.isRead(ctx, id, middle, position); err != nil {
			return 0, err
		}
		if read {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// isRead reports whether the event of a number stands at or below a position, or is deleted already.
func (w *Writer) isRead(ctx context.Context, id string, number, position uint64) (bool, error) {
	for event, err := range w.config.Events.ReplayEvents(ctx, id, number, number) {
		return err == nil && event.GetPosition() <= position, err
	}
	return true, nil
}
