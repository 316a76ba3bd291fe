package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/persistence"
)

const (
	workers      = 2
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
	maxJobs      = 10_000
)

// Retention says what is deleted once a snapshot is durable.
type Retention struct {
	Events    bool   // events up to the snapshot
	Snapshots bool   // older snapshots
	Keep      uint64 // events kept below the snapshot
}

// A Job is a snapshot to be written.
type Job struct {
	Snapshot  *egopb.Snapshot
	Retention Retention

	written bool          // only the retention is left
	backoff time.Duration // after the last failure
}

// Config is what a [Writer] needs.
type Config struct {
	Snapshots persistence.SnapshotStore
	Events    persistence.EventsStore
	Erasure   func(event *egopb.Event) bool // tells the end of an erased entity; nil: none is ever erased
	Timeout   time.Duration                 // of one call to a store

	// Unread returns a position of an entity's shard above which consumers have events to read; events above it are not
	// deleted. It is false when there are no consumers. It may be nil.
	Unread func(ctx context.Context, persistenceID string) (above uint64, ok bool, err error)

	Logger    *slog.Logger
	Telemetry *telemetry.Recorder // nil: nothing is recorded
}

// A Status is the condition of a writer.
type Status struct {
	Pending int   // jobs that wait, the failing ones included
	Failing int   // jobs that wait to be tried again
	Err     error // the newest failure while any job is failing
}

// A Writer writes snapshots in the background. Stop ends it.
type Writer struct {
	config Config
	wg     sync.WaitGroup

	mu      sync.Mutex // guards everything below
	wake    *sync.Cond
	jobs    map[string]*Job // the newest of each entity: queued, running or waiting to be tried again
	queue   []string
	running map[string]chan struct{} // closed when the job that a worker has at hand is done
	failing map[string]*time.Timer
	err     error
	stopped bool
}

// NewWriter returns a running writer.
func NewWriter(config Config) *Writer {
	w := &Writer{config: config, jobs: make(map[string]*Job), failing: make(map[string]*time.Timer), running: make(map[string]chan struct{})}
	w.wake = sync.NewCond(&w.mu)
	for range workers {
		w.wg.Go(w.loop)
	}
	return w
}

// Offer queues a snapshot in place of an older one of the same entity. It is false when there is no room. The snapshot
// belongs to the writer from now on.
func (w *Writer) Offer(job *Job) bool {
	id := job.Snapshot.GetPersistenceId()
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.jobs[id]
	if w.stopped || !known && len(w.jobs) >= maxJobs {
		return false
	}
	w.jobs[id] = job
	if timer, failing := w.failing[id]; failing {
		timer.Stop()
		delete(w.failing, id)
		known = false // it is in no queue any more
	}
	if !known {
		w.enqueue(id)
	}
	return true
}

// Status returns the condition of the writer.
func (w *Writer) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	status := Status{Pending: len(w.jobs), Failing: len(w.failing)}
	if status.Failing > 0 {
		status.Err = w.err
	}
	return status
}

// Stop tries once more what is queued, gives up what is failing, and returns when the last call has ended or, with its
// error, when the context has.
func (w *Writer) Stop(ctx context.Context) error {
	w.mu.Lock()
	w.stopped = true
	for id, timer := range w.failing {
		timer.Stop()
		delete(w.failing, id)
		delete(w.jobs, id)
	}
	w.wake.Broadcast()
	w.mu.Unlock()

	done := make(chan struct{})
	go func() { // ends with the workers, whose calls are bounded
		w.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		w.mu.Lock()
		w.queue = nil
		w.mu.Unlock()
		return ctx.Err()
	}
}

// enqueue makes a worker look at an entity.
func (w *Writer) enqueue(id string) {
	w.queue = append(w.queue, id)
	w.wake.Signal()
}

func (w *Writer) loop() {
	for {
		id, job := w.next()
		if job == nil {
			return
		}
		w.settle(id, job, w.run(job))
	}
}

// next waits for a job. It is nil when the writer has stopped and nothing is left.
func (w *Writer) next() (string, *Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 {
		if w.stopped {
			return "", nil
		}
		w.wake.Wait()
	}
	id := w.queue[0]
	w.queue[0] = ""
	w.queue = w.queue[1:]
	w.running[id] = make(chan struct{})
	return id, w.jobs[id]
}

// settle forgets a job that is done, and comes back to one that failed or has a newer one in its place.
func (w *Writer) settle(id string, job *Job, err error) {
	if err != nil {
		w.config.Logger.Warn("snapshot or retention failed", "entity", id, "kind", job.Snapshot.GetKind(), "number", job.Snapshot.GetSequenceNumber(), "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.running[id])
	delete(w.running, id)
	switch {
	case w.jobs[id] == nil: // forgotten
	case w.jobs[id] != job:
		w.enqueue(id)
	case err == nil || w.stopped:
		delete(w.jobs, id)
	default:
		w.err = err
		job.backoff = min(max(2*job.backoff, firstBackoff), lastBackoff)
		w.failing[id] = time.AfterFunc(job.backoff, func() { w.retry(id, job) })
	}
}

func (w *Writer) retry(id string, job *Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs[id] == job && !w.stopped {
		delete(w.failing, id)
		w.enqueue(id)
	}
}

// run does what is left of a job.
func (w *Writer) run(job *Job) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the store panicked: %v", value)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), w.config.Timeout)
	defer cancel()
	if !job.written {
		err := w.config.Snapshots.WriteSnapshot(ctx, job.Snapshot)
		w.config.Telemetry.SnapshotWritten(job.Snapshot.GetKind(), err)
		if err != nil {
			return fmt.Errorf("the snapshot was not written: %w", err)
		}
		job.written = true
	}
	if ended, err := w.withdraw(ctx, job); ended || err != nil {
		return err
	}
	return w.retain(ctx, job)
}
