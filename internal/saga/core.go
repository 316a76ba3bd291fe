package saga

import (
	"context"
	"fmt"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/persistence"
)

// Timers is the timer store as sagas use it.
type Timers interface {
	// Schedule sets timers and returns once they are durable.
	Schedule(ctx context.Context, timers []*egopb.Timer) error

	// Cancel removes timers of an owner, all without names, some time later. It may forget to: a timer without use does
	// no harm when it fires.
	Cancel(owner string, names ...string)
}

// Ports is what the sagas of an engine share.
type Ports struct {
	Shared     *entity.Shared
	Timers     Timers
	Dispatcher *Dispatcher
	Changed    func(kind string, status egopb.SagaStatus) // is told of each status that a saga came into; nil: nobody
}

// A Core runs one saga: an entity whose behaviour is a [Machine]. Before a step is stored, the timers that it needs are;
// after it is stored, its commands are sent. It is not safe for concurrent use.
type Core struct {
	*entity.Entity
	machine *Machine
	ports   *Ports
	seen    *State // the newest state whose effects are under way
}

// NewCore returns a saga that has not recovered yet.
func NewCore(machine *Machine, ports *Ports) *Core {
	c := &Core{machine: machine, ports: ports}
	shared := *ports.Shared
	shared.Journal = &appender{machine, ports, shared.Journal}
	config := &machine.config
	c.Entity = entity.NewEventSourced(config.PersistenceID, config.Kind, machine, new(entity.Settings), &shared)
	return c
}

// appender stores the timers of a step before the step.
type appender struct {
	machine *Machine
	ports   *Ports
	journal entity.Appender
}

func (a *appender) Append(ctx context.Context, records []*egopb.Event) error {
	if rows := a.machine.Rows(); len(rows) > 0 {
		if err := a.ports.Timers.Schedule(ctx, rows); err != nil {
			return persistence.DefinitelyNotWritten(fmt.Errorf("the timers of the saga cannot be set: %w", err))
		}
		a.machine.Armed()
	}
	err := a.journal.Append(ctx, records)
	a.machine.owns = a.machine.owns || err == nil
	if err == nil && a.ports.Changed != nil {
		a.machine.changes(a.ports.Changed)
	}
	return err
}

// Process handles inputs and sees to the effects of what has become durable.
func (c *Core) Process(ctx context.Context, inputs *entity.Request) time.Duration {
	wait := c.Entity.Process(ctx, inputs)
	c.follow()
	return wait
}

// follow sees to it that what the durable state asks for is under way: it compares and does not count, so what a crash has
// cut off goes on by the same way.
func (c *Core) follow() {
	committed, live := c.Committed()
	if !live {
		c.seen = nil
		return
	}
	state := committed.(*State) //nolint:forcetypeassert // see Machine.InitialState
	if state == c.seen || state.Status == Unknown {
		return
	}
	for _, command := range state.Commands {
		if !c.machine.owns && c.machine.takenOver(command.GetCommandId()) {
			continue // whoever issued it may be at it; the watchdog takes the saga over by a step
		}
		c.ports.Dispatcher.Send(Job{
			SagaID:        c.machine.config.ID,
			PersistenceID: c.machine.config.PersistenceID,
			Command:       command,
			Draining:      state.Draining(),
			Compensating:  state.planned,
			Repeated:      !c.machine.issued[command.GetCommandId()],
		})
	}
	c.tidy(state)
	c.seen = state
}

// tidy removes timers that have lost their use.
func (c *Core) tidy(state *State) {
	config := &c.machine.config
	switch {
	case state.Active() && c.seen != nil:
		now := config.Now().UnixNano()
		for _, t := range c.seen.Timers {
			if kept := state.timer(t.GetName()); kept.GetGeneration() != t.GetGeneration() && t.GetDueUnixNano() > now {
				c.ports.Timers.Cancel(config.PersistenceID, userRow(t.GetName(), t.GetGeneration()))
			}
		}
	case !state.Active():
		c.machine.disarmed()
		c.ports.Timers.Cancel(config.PersistenceID)
		if config.Indexed {
			c.ports.Timers.Cancel(IndexOwner(config.Kind), config.ID)
		}
	}
}
