package saga

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// A Job is a command to be sent until its outcome is known, and the outcome to be brought to its saga.
type Job struct {
	SagaID        string
	PersistenceID string
	Command       *egopb.SagaCommand
	Draining      bool // the saga waits for the outcome before it compensates
	Compensating  bool // the command takes something back
	Repeated      bool // it may have been sent before, with an effect
	Again         bool // this is not the first attempt
}

// A Verdict says what the outcome of an attempt means.
type Verdict int

// The verdicts.
const (
	Succeeded Verdict = iota
	Refused           // no attempt had an effect, nor will another have one
	NoEffect          // this attempt had none; it says nothing of earlier ones
	InDoubt           // nobody knows
	Unwanted          // the saga no longer waits for it
)

// DispatcherConfig is what a dispatcher needs.
type DispatcherConfig struct {
	// Send makes one attempt to send a command. The message is the state of the entity.
	Send func(ctx context.Context, job *Job) (proto.Message, Verdict, error)

	// Deliver brings an outcome to the saga and returns once that is durable. The error says whether to try again.
	Deliver func(ctx context.Context, job *Job, outcome *ResultInput) (again bool, err error)

	// Limit bounds the attempts that are made at once. The default is 1024.
	Limit int
}

// DefaultLimit is the default of [DispatcherConfig].Limit.
const DefaultLimit = 1024

// A Dispatcher sends the commands of all sagas of an engine. Attempts of many sagas are made side by side, on goroutines of
// the dispatcher; between two attempts of a job there is only a timer. All methods are safe for concurrent use.
type Dispatcher struct {
	config DispatcherConfig
	ctx    context.Context //nolint:containedctx // the lifetime of the dispatcher
	cancel context.CancelFunc
	wg     sync.WaitGroup // the workers

	mu      sync.Mutex
	jobs    map[string]*task // by command id, until the outcome has been delivered
	queue   []*task
	workers int
	stopped bool
}

// A task is a job with what became of it so far. One worker at a time has it.
type task struct {
	Job
	timer     *time.Timer // of the next attempt, while it waits for that
	attempts  int         // that certainly had no effect
	unknown   bool        // an attempt may have had an effect
	quiet     time.Time   // when no attempt of another process can be under way any more, since unknown
	doubts    int         // attempts of which nobody knows
	outcome   *ResultInput
	delivered int // attempts to deliver
}

// NewDispatcher returns a dispatcher without jobs. Stop ends it.
func NewDispatcher(config DispatcherConfig) *Dispatcher {
	if config.Limit <= 0 {
		config.Limit = DefaultLimit
	}
	d := &Dispatcher{config: config, jobs: make(map[string]*task)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Send takes a job, unless a job of the same command is under way: that one learns what has changed.
func (d *Dispatcher) Send(job Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	if known := d.jobs[job.Command.GetCommandId()]; known != nil {
		known.Draining = known.Draining || job.Draining
		known.Repeated = known.Repeated || job.Repeated
		return
	}
	t := &task{Job: job}
	t.doubt(job.Repeated)
	d.jobs[job.Command.GetCommandId()] = t
	d.enqueue(t)
}

// Pending returns how many commands are under way.
func (d *Dispatcher) Pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.jobs)
}

// Stop ends all attempts and waits for them. What is under way is taken up again when its saga is.
func (d *Dispatcher) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.stopped = true
	d.queue = nil
	for _, t := range d.jobs {
		if t.timer != nil {
			t.timer.Stop()
		}
	}
	d.mu.Unlock()
	d.cancel()
	ended := make(chan struct{})
	go func() {
		d.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enqueue lets a worker take a task. The lock is held.
func (d *Dispatcher) enqueue(t *task) {
	if d.stopped {
		return
	}
	t.timer = nil
	d.queue = append(d.queue, t)
	if d.workers < d.config.Limit {
		d.workers++
		d.wg.Go(d.work)
	}
}

// work takes tasks until there are none.
func (d *Dispatcher) work() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.workers--
			d.mu.Unlock()
			return
		}
		t := d.queue[0]
		d.queue[0] = nil
		d.queue = d.queue[1:]
		t.doubt(t.Repeated && !t.unknown)
		job := t.Job
		d.mu.Unlock()

		wait, done := d.advance(t, &job)
		d.mu.Lock()
		switch {
		case done:
			delete(d.jobs, t.Command.GetCommandId())
		case wait == 0:
			d.enqueue(t)
		case !d.stopped:
			t.timer = time.AfterFunc(wait, func() { d.retry(t) })
		}
		d.mu.Unlock()
	}
}

func (d *Dispatcher) retry(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enqueue(t)
}

// advance makes one attempt, to send a command or to deliver its outcome, and returns when the next one is due.
func (d *Dispatcher) advance(t *task, job *Job) (wait time.Duration, done bool) {
	if t.outcome == nil {
		job.Repeated, job.Again = t.unknown, t.attempts+t.doubts > 0
		state, verdict, err := d.config.Send(d.ctx, job)
		if d.ctx.Err() != nil || verdict == Unwanted {
			return 0, true
		}
		if wait = t.judge(state, verdict, err, job.Draining); t.outcome == nil {
			return wait, false
		}
	}
	again, err := d.config.Deliver(d.ctx, job, t.outcome)
	if d.ctx.Err() != nil || err == nil || !again {
		return 0, true
	}
	if errors.Is(err, ErrInDoubt) {
		t.outcome = nil
		t.doubt(true)
	}
	t.delivered++
	return backoff(defaultInitialDelay, lastDeliveryDelay, t.delivered), false
}
