package consumer

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/actorkeep/ego/projection"
)

// A trouble is something that keeps a worker from going on, for a while or for good.
type trouble struct {
	state projection.State
	err   error
}

// troubled makes a trouble visible, until well is called with the same key. Several lanes may be in trouble at once.
func (w *worker) troubled(key any, what string, state projection.State, err error) {
	w.mu.Lock()
	w.troubles[key] = trouble{state, err}
	w.mu.Unlock()
	if state == projection.BackingOff {
		w.log(slog.LevelWarn, "a consumer waits and tries again", err, slog.String("to", what))
	}
}

func (w *worker) well(key any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.troubles, key)
}

// fail makes it visible that the worker does not go on.
func (w *worker) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = err
}

func (w *worker) status() projection.ShardStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	status := projection.ShardStatus{
		Shard:    w.shard,
		Owner:    w.hold.lease.Owner,
		Local:    true,
		State:    projection.Running,
		Position: w.recorded.Load(),
		Epoch:    w.hold.lease.Epoch,
		Lag:      w.lag(),
	}
	if w.failed != nil {
		status.State, status.Err = projection.Failed, w.failed
	} else {
		for _, t := range w.troubles {
			if status.Err == nil || t.state > status.State {
				status.State, status.Err = t.state, t.err
			}
		}
	}
	status.Reason = reasonOf(status.State, status.Err)
	return status
}

// lag returns how far the shard is behind, by what this process has read and heard of; nil before it knows its offset.
func (w *worker) lag() *projection.Lag {
	if !w.loaded.Load() {
		return nil
	}
	lag, recorded := new(projection.Lag), w.recorded.Load()
	head := max(w.ear.position.Load(), w.spec.Feed.heads[w.shard].Load())
	if head <= recorded {
		return lag
	}
	lag.Events = head - recorded
	if since := cmp.Or(w.oldest.Load(), w.ear.behind.Load()); since != 0 {
		lag.Behind = max(time.Since(time.Unix(0, since)), 0)
	}
	return lag
}

// reasonOf returns one word for an error.
func reasonOf(state projection.State, err error) string {
	var (
		gap      *GapError
		panicked *projection.PanicError
		event    *EventError
		refused  *projection.EventError
	)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &gap):
		return "order"
	case isUnavailable(err):
		return "unavailable"
	case errors.As(err, &panicked):
		return "panic"
	case errors.Is(err, projection.ErrGoexit):
		return "exit"
	case state == projection.Running, errors.As(err, &event), errors.As(err, &refused): // a handler that is tried again
		return "handler"
	default:
		return "store"
	}
}
