package ego

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/saga"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/internal/timer"
)

// sagas is what a node has to run sagas and scheduled commands with. It is nil without a timer store.
type sagas struct {
	node       *node
	timers     *timer.Service
	dispatcher *saga.Dispatcher
	ports      *saga.Ports
}

func newSagas(n *node, s stores) *sagas {
	if s.timers == nil {
		return nil
	}
	ss := &sagas{node: n}
	ss.dispatcher = saga.NewDispatcher(saga.DispatcherConfig{Send: ss.send, Deliver: ss.deliver})
	ss.timers = timer.New(timer.Config{
		Store:       s.timers,
		CallTimeout: n.config.writeTimeout,
		Logger:      n.config.logger,
		Handlers: map[string]timer.Handler{
			saga.TimerKind: ss.fire,
			scheduleKind:   ss.fireScheduled,
		},
		Fired: func(t *egopb.Timer, late time.Duration, err error) { n.record.Fired(t.GetKind(), late, err) },
	})
	shared := *n.shared
	shared.StartAnew = false // a saga has one life
	ss.ports = &saga.Ports{Shared: &shared, Timers: ss.timers, Dispatcher: ss.dispatcher, Changed: n.record.SagaBecame}
	return ss
}

// runSagas starts what runs sagas and scheduled commands.
func (n *node) runSagas(ctx context.Context, s stores) error {
	n.sagas = newSagas(n, s)
	if err := n.sagas.start(ctx); err != nil {
		return fmt.Errorf("ego: sagas cannot be subscribed to events: %w", err)
	}
	return nil
}

// halt ends what the sagas do by themselves.
func (ss *sagas) halt(ctx context.Context) error {
	if ss == nil {
		return nil
	}
	return errors.Join(ss.timers.Halt(ctx), ss.dispatcher.Stop(ctx))
}

// stop ends the timers, once nobody can set any.
func (ss *sagas) stop(ctx context.Context) error {
	if ss == nil {
		return nil
	}
	return ss.timers.Stop(ctx)
}

func (ss *sagas) health() error {
	if ss == nil {
		return nil
	}
	return ss.timers.Health()
}

// start starts the consumers of the registered kinds and the timers.
func (ss *sagas) start(ctx context.Context) error {
	if ss == nil {
		return nil
	}
	for i := range ss.node.config.kinds {
		kind := &ss.node.config.kinds[i]
		if kind.saga == nil {
			continue
		}
		if err := ss.subscribe(ctx, kind.name, kind.saga); err != nil {
			return err
		}
	}
	ss.timers.Start()
	return nil
}

// activateSaga brings a saga to life.
func (n *node) activateSaga(pid string, entry *spawn, b SagaBehavior) egoactor.Activation {
	machine := saga.NewMachine(saga.Config{
		ID:            pid[len(saga.Prefix):],
		PersistenceID: pid,
		Kind:          entry.kind,
		Behavior:      sagaBehavior{b},
		Indexed:       entry.saga.correlate == nil,
		ResumeAfter:   n.config.resumeAfter,
		IdleWatch:     sagaIdleWatch,
		Now:           time.Now,
		Stream:        n.stream(pid),
		Trace:         telemetry.Stored,
	})
	return egoactor.Activation{
		Core:           saga.NewCore(machine, n.sagas.ports),
		Kind:           entry.kind,
		PassivateAfter: entry.config.passivateAfter,
	}
}

// bring brings an input to a saga wherever it is, again and again while other processes are faster, until the context or the
// timeout ends.
func (ss *sagas) bring(ctx context.Context, pid string, input proto.Message, timeout time.Duration) error {
	if ss.node.cluster == nil {
		return ss.insist(ctx, pid, input, timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ss.node.cluster.bring(ctx, pid, input)
}

// ask brings an input to a saga on this node and returns once what it led to is durable.
func (ss *sagas) ask(ctx context.Context, pid string, input proto.Message, timeout time.Duration) error {
	n := ss.node
	if timeout <= 0 {
		timeout = defaultCommandTimeout
	}
	if offered, ok := input.(*saga.EventInput); ok && offered.Start {
		if err := ss.prepare(pid, offered.Kind); err != nil {
			return err
		}
	}
	ctx, end := n.record.Step(ctx, pid[len(saga.Prefix):], saga.NameOf(input))
	err := ss.handle(ctx, pid, input, timeout)
	if errors.Is(err, saga.ErrNotStarted) || errors.Is(err, saga.ErrFinished) {
		end(nil)
	} else {
		end(err)
	}
	return err
}

// handle has an input handled on this node.
func (ss *sagas) handle(ctx context.Context, pid string, input proto.Message, timeout time.Duration) error {
	n := ss.node
	metadata := &Metadata{CorrelationID: pid[len(saga.Prefix):]}
	if given := metadataOf(ctx); given != nil {
		metadata.TraceParent, metadata.TraceState = given.TraceParent, given.TraceState
	}
	r := n.requests.New(ctx, input, metadata)
	if err := n.host.Send(ctx, pid, r); err != nil {
		return err
	}
	_, _, err := await(ctx, r, timeout)
	if errors.Is(err, saga.ErrUnread) {
		return fmt.Errorf("%w: %s", ErrRecovery, trimmed(err)) // of the store, and not a refusal
	}
	return err
}

// stream reads the records of a saga that say which events it has handled.
func (n *node) stream(pid string) saga.Stream {
	return func(ctx context.Context) iter.Seq2[proto.Message, error] {
		return func(yield func(proto.Message, error) bool) {
			for event, err := range n.events.ReplayEvents(ctx, pid, 1, math.MaxInt64) {
				if err != nil {
					yield(nil, err)
					return
				}
				if !saga.SaysWhatCame(event) {
					continue
				}
				opened, err := passErased(n.codec.Open(ctx, event))
				if err != nil {
					yield(nil, err)
					return
				}
				for _, record := range opened {
					if !yield(record.Message, nil) {
						return
					}
				}
			}
		}
	}
}

// insist is ask, again and again while other processes are faster with the same saga, until the context or the timeout ends.
func (ss *sagas) insist(ctx context.Context, pid string, input proto.Message, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := ss.ask(ctx, pid, input, timeout)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// inputTimeout bounds an input that the engine itself brings to a saga. It comes again.
const inputTimeout = 15 * time.Second

// deliver brings the outcome of a command to its saga.
func (ss *sagas) deliver(ctx context.Context, job *saga.Job, outcome *saga.ResultInput) (again bool, err error) {
	ctx = telemetry.Continue(ctx, job.Command.GetTrace())
	if n := ss.node; n.cluster != nil {
		ctx, cancel := context.WithTimeout(ctx, inputTimeout)
		defer cancel()
		err = n.cluster.bring(ctx, job.PersistenceID, outcome)
	} else {
		err = ss.ask(ctx, job.PersistenceID, outcome, inputTimeout)
	}
	return !errors.Is(err, saga.ErrNotStarted) && !errors.Is(err, ErrEntityNotFound) && !errors.Is(err, ErrErased), err
}

// send makes one attempt to send a command of a saga.
func (ss *sagas) send(ctx context.Context, job *saga.Job) (proto.Message, saga.Verdict, error) {
	command, err := job.Command.GetCommand().UnmarshalNew()
	if err != nil {
		return nil, saga.NoEffect, &EntityError{EntityID: job.Command.GetEntityId(), Err: err}
	}
	if job.Repeated {
		if state, done, err := ss.tookEffect(ctx, job); err != nil || done {
			return state, verdictOf(err), err
		}
	}
	attempt, cancel := context.WithTimeout(ctx, saga.AttemptTimeout(job.Command))
	defer cancel()
	if job.Repeated || job.Again {
		if wanted, err := ss.wanted(attempt, job); err != nil {
			return nil, saga.NoEffect, err
		} else if !wanted {
			return nil, saga.Unwanted, nil
		}
	}
	state, err := ss.attempt(attempt, job, command)
	verdict := verdictOf(err)
	if verdict == saga.Refused && job.Repeated { // by an entity that has not heard of another's work?
		if state, done, err := ss.tookEffect(ctx, job); err != nil || done {
			return state, verdictOf(err), err
		}
	}
	if err != nil {
		err = failure(job.Command.GetEntityId(), command, err)
	}
	return state, verdict, err
}

func (ss *sagas) attempt(ctx context.Context, job *saga.Job, command proto.Message) (proto.Message, error) {
	if err := checkEntityID(job.Command.GetEntityId()); err != nil {
		return nil, err
	}
	ctx = telemetry.Continue(ctx, job.Command.GetTrace())
	ctx = WithCorrelation(WithCommandID(ctx, job.Command.GetCommandId()), job.SagaID, job.SagaID)
	state, _, err := ss.node.recorded(ctx, job.Command.GetEntityId(), command, job.Command.GetTimeout().AsDuration())
	return state, err
}

// verdictOf says what an attempt means that ended with an error.
func verdictOf(err error) saga.Verdict {
	var (
		refusal *entity.Refusal
		refused *CommandError // by an entity of another node
	)
	switch {
	case err == nil:
		return saga.Succeeded
	case errors.Is(err, ErrOutcomeUnknown):
		return saga.InDoubt
	case errors.Is(err, ErrRecovery):
		return saga.NoEffect
	case errors.As(err, &refusal), errors.As(err, &refused), errors.Is(err, ErrEntityNotFound), errors.Is(err, ErrUndefinedEntityID),
		errors.Is(err, ErrInvalidEntityID), errors.Is(err, ErrKindMismatch), errors.Is(err, ErrErased):
		return saga.Refused
	case errors.Is(err, ErrConflict), errors.Is(err, ErrWriteFailed), errors.Is(err, ErrTimeout), errors.Is(err, ErrOverloaded),
		errors.Is(err, ErrKindNotRegistered), errors.Is(err, ErrInvalidCommand), errors.Is(err, ErrInvalidBehavior),
		errors.Is(err, egoactor.ErrStopped), errors.Is(err, context.Canceled):
		return saga.NoEffect
	default:
		return saga.InDoubt
	}
}

// fire brings a timer to its saga.
func (ss *sagas) fire(ctx context.Context, t *egopb.Timer) error {
	const patience = 3 // claims of a timer whose saga may be about to begin
	ctx = telemetry.Continue(ctx, t.GetTrace())
	err := ss.bring(ctx, t.GetOwner(), saga.NewTimer(t.GetName()), inputTimeout)
	unknown := errors.Is(err, saga.ErrNotStarted) || errors.Is(err, ErrEntityNotFound)
	if unknown && t.GetAttempts() >= patience || errors.Is(err, ErrErased) {
		return nil
	}
	return err
}
