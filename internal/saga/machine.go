package saga

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
)

// Prefix begins the persistence ids of sagas, so that they have ids of their own and are listed together.
const Prefix = "!saga/"

var (
	// ErrNotStarted reports an input for a saga that has not begun.
	ErrNotStarted = errors.New("ego: the saga is not known")

	// ErrFinished reports a request to a saga that has finished.
	ErrFinished = errors.New("ego: the saga has finished")

	// ErrInDoubt reports a failure of a command that another process may have sent meanwhile. It must be sent again.
	ErrInDoubt = errors.New("ego: another process may have sent the command")

	errNotForSagas = errors.New("a saga takes no commands")
)

// Config is what a machine needs to know.
type Config struct {
	ID            string
	PersistenceID string
	Kind          string
	Behavior      Behavior
	Indexed       bool // it is listed among the running sagas that see every event
	ResumeAfter   time.Duration
	IdleWatch     time.Duration
	Now           func() time.Time

	// Stream reads what the saga has recorded, for events that come late. Without it, such events are passed over.
	Stream Stream

	// Trace returns the trace context of a step, nil when it has none. It may be nil.
	Trace func(ctx context.Context) *egopb.TraceContext
}

// A Machine decides what a saga does. It is the behaviour of the event-sourced entity that a saga is: inputs are its
// commands, and the records of the saga its events. It is not safe for concurrent use.
type Machine struct {
	config Config

	offered []*egopb.SagaPosition // events that were offered and led to nothing, not yet in the stream
	armed   time.Time             // when the watchdog in the store is due at the latest; zero when that is not known
	issued  map[string]bool       // commands that were issued since the recovery, so that nobody has sent them before

	owns bool  // a step was stored since the recovery, so no other process has come further
	step *step // the newest decision, until its records are folded
	rows []*egopb.Timer
}

// NewMachine returns the machine of a saga.
func NewMachine(config Config) *Machine { return &Machine{config: config} }

// InitialState returns the state of a saga that has not begun. An entity asks for it whenever it recovers.
func (m *Machine) InitialState() proto.Message {
	m.offered, m.armed, m.issued, m.step, m.rows, m.owns = nil, time.Time{}, nil, nil, nil, false
	user := m.config.Behavior.InitialState()
	if entity.IsNil(user) {
		return nil
	}
	return &State{Message: user}
}

// HandleCommand decides on an input. The records it returns are one step, stored all or none.
func (m *Machine) HandleCommand(ctx context.Context, input, prior proto.Message) ([]proto.Message, error) {
	state := prior.(*State) //nolint:forcetypeassert // see InitialState
	s := &step{machine: m, ctx: ctx, prior: state, state: state}
	m.step, m.rows = nil, nil
	if err := s.decide(input); err != nil {
		return nil, err
	}
	if len(s.records) == 0 {
		return nil, nil
	}
	m.step = s
	m.rows = s.arm()
	records := make([]proto.Message, len(s.records))
	copy(records, s.records)
	return records, nil
}

// HandleEvent folds a record.
func (m *Machine) HandleEvent(ctx context.Context, record, prior proto.Message) (proto.Message, error) {
	if s := m.step; s != nil && s.folded < len(s.records) && s.records[s.folded] == record {
		s.folded++
		return s.states[s.folded-1], nil // decided a moment ago
	}
	next, err := apply(ctx, m.config.Behavior, record, prior.(*State)) //nolint:forcetypeassert // see InitialState
	if err != nil {
		return nil, err
	}
	return next, nil
}

// Rows returns the timers that must be in the store before the newest step is stored.
func (m *Machine) Rows() []*egopb.Timer { return m.rows }

// Armed says that the timers of the newest step are in the store.
func (m *Machine) Armed() {
	for _, row := range m.rows {
		if row.GetName() == watchdog {
			m.armed = time.Unix(0, row.GetDueUnixNano())
		}
	}
	m.rows = nil
}

// disarmed says that the saga's timers are no longer in the store.
func (m *Machine) disarmed() { m.armed = time.Time{} }

// takenOver reports whether the saga was recovered since a command was issued.
func (m *Machine) takenOver(commandID string) bool { return !m.issued[commandID] }

func (m *Machine) issue(command *egopb.SagaCommand) {
	if m.issued == nil {
		m.issued = make(map[string]bool)
	}
	m.issued[command.GetCommandId()] = true
}

// decide takes an input.
func (s *step) decide(input proto.Message) error {
	switch in := input.(type) {
	case *StartInput:
		return s.start(in)
	case *EventInput:
		return s.event(in)
	}
	if s.state.Status == Unknown {
		return ErrNotStarted
	}
	switch in := input.(type) {
	case *ResultInput:
		if in.Failure != nil && s.machine.takenOver(in.GetCommandId()) && s.state.inDoubt(in.GetCommandId()) && !in.Checked {
			return ErrInDoubt
		}
		s.result(in)
	case *TimerInput:
		s.timer(in)
	case *CancelInput:
		return s.cancel(in)
	case *RetryInput:
		return s.retry()
	default:
		return fmt.Errorf("%w: %T", errNotForSagas, input)
	}
	return nil
}

// changes tells of the statuses that the newest step has led to.
func (m *Machine) changes(tell func(kind string, status egopb.SagaStatus)) {
	if m.step == nil {
		return
	}
	last := m.step.prior.Status
	for _, state := range m.step.states {
		if state.Status != last {
			last = state.Status
			tell(m.config.Kind, last)
		}
	}
}
