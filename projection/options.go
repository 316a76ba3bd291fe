package projection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// The defaults of [Options].
const (
	DefaultBatchSize    = 500
	DefaultPullInterval = 100 * time.Millisecond
)

// MaxBatchSize is the largest [Options.BatchSize].
const MaxBatchSize = 100_000

// DefaultWindow returns the default of [Options.Window]: a batch, or with parallelism four of them and at least 1000.
func DefaultWindow(batchSize, parallelism int) int {
	if parallelism > 1 {
		return max(4*batchSize, 1000)
	}
	return batchSize
}

// Options say what a projection reads and how. Only the handler is required.
type Options struct {
	// Handler handles the events. One that is a [BatchHandler] gets them in batches, one that is a [TransactionalHandler]
	// in transactions that record the offset as well.
	Handler Handler

	// Filter selects the events that the handler sees. The zero value selects all.
	Filter Filter

	// BatchSize bounds how many events are read and handled at once. The default is 500.
	BatchSize int

	// Window bounds how many events of a shard are read beyond its recorded offset, and so how many are handled again after
	// a crash. With the window of a batch, which is the default without parallelism, the offset is recorded once per batch,
	// before the next one is read; with a larger one it is recorded beside the work. The default is that of [DefaultWindow];
	// a window smaller than a batch is rejected. A [TransactionalHandler] records each batch with what it writes.
	Window int

	// PullInterval is how often the store is asked for events that nobody told of: those that other processes wrote to a
	// store without notifications. Events of this process, and those that the store notifies of, are handled at once. All
	// projections of a process share one question per interval, the shortest of theirs. The default is 100 milliseconds.
	PullInterval time.Duration

	// Recovery says what happens when the handler fails. The default is to stop the shard, see [Fail].
	Recovery *Recovery

	// StartFrom is where a projection starts that has no offset yet: in each shard at the first event that is not older,
	// by the clock of its writer, and from there on with every event. As clocks are not ordered, later events may be older
	// than StartFrom; none that is not older is left out. The zero time is the beginning.
	StartFrom time.Time

	// FromNow starts a projection that has no offset yet behind the events that exist when it is started first.
	FromNow bool

	// Parallelism is how many entities of one shard are handled side by side, each in order. The offset stands before the
	// first event that is not done: a slow entity holds it back, and the others go on until the window is full. The default
	// is one. It must be one with a [TransactionalHandler], which commits a shard in order.
	Parallelism int

	// DeadLetterHandler is told of every event that is parked or skipped, after the fact; it may be told twice of one. It
	// must return soon. A panic in it is logged.
	DeadLetterHandler func(ctx context.Context, letter *DeadLetter)
}

// Validate returns all that is wrong with the options.
func (o *Options) Validate() error {
	if o == nil {
		return errors.New("projection: there are no options")
	}
	var problems []error
	refuse := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("projection: "+format, args...))
	}
	if o.Handler == nil {
		refuse("there is no handler")
	}
	if o.BatchSize < 0 || o.BatchSize > MaxBatchSize {
		refuse("batch size %d is not between 1 and %d", o.BatchSize, MaxBatchSize)
	}
	if batch := cmp.Or(o.BatchSize, DefaultBatchSize); o.Window != 0 && o.Window < batch {
		refuse("window %d is smaller than the batch size %d", o.Window, batch)
	}
	if o.PullInterval < 0 {
		refuse("pull interval %v is below zero", o.PullInterval)
	}
	if o.Parallelism < 0 {
		refuse("parallelism %d is below zero", o.Parallelism)
	}
	if _, transactional := o.Handler.(TransactionalHandler); transactional && o.Parallelism > 1 {
		refuse("parallelism %d with a transactional handler, which commits a shard in order", o.Parallelism)
	}
	if o.FromNow && !o.StartFrom.IsZero() {
		refuse("it starts both from now and from %v", o.StartFrom)
	}
	return errors.Join(append(problems, o.Recovery.validate())...)
}

// WithDefaults returns a copy in which everything that was left out has its default.
func (o *Options) WithDefaults() Options {
	c := *o
	if c.BatchSize == 0 {
		c.BatchSize = DefaultBatchSize
	}
	if c.PullInterval == 0 {
		c.PullInterval = DefaultPullInterval
	}
	if c.Recovery == nil {
		c.Recovery = NewRecovery()
	}
	if c.Parallelism == 0 {
		c.Parallelism = 1
	}
	if c.Window == 0 {
		c.Window = DefaultWindow(c.BatchSize, c.Parallelism)
	}
	return c
}
