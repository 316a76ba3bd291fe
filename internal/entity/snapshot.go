package entity

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/snapshot"
)

// Snapshots takes snapshots to be written beside the commands. It is false when it has no room.
type Snapshots interface {
	Offer(job *snapshot.Job) bool
}

// errAhead reports a snapshot of events that the journal does not have.
var errAhead = errors.New("the snapshot is ahead of the journal")

// load recovers the entity from the newest snapshot that leads to the end of the journal, else from its first event.
func (m *eventSourced) load(ctx context.Context, commands *window) (current memory, replayed uint64, err error) {
	current, err = m.recover(ctx, math.MaxUint64, commands)
	if current.revision > m.snapshotted {
		replayed = current.revision - m.snapshotted
	}
	return current, replayed, err
}

// recover returns the memory at a revision, or at the newest one when the journal ends before.
func (m *eventSourced) recover(ctx context.Context, to uint64, commands *window) (memory, error) {
	for below := to; ; {
		base, taken, err := m.snapshotAt(ctx, below)
		if err != nil {
			return memory{}, err
		}
		if taken == nil {
			break
		}
		number := taken.GetSequenceNumber()
		if base.state != nil {
			commands.restore(taken.GetHandledCommands())
			current, err := m.replay(ctx, base, to, commands)
			if !errors.Is(err, errAhead) {
				m.snapshotted = number
				return current, err
			}
			m.ignore(number, err)
		}
		below = number - 1
	}
	m.snapshotted = 0
	commands.forget()
	initial, err := m.initialState()
	if err != nil {
		return memory{}, err
	}
	return m.replay(ctx, memory{state: initial}, to, commands)
}

// snapshotAt returns the newest snapshot not above a number, and the memory it holds unless it cannot be used. Both are
// empty when there is none.
func (m *eventSourced) snapshotAt(ctx context.Context, below uint64) (memory, *egopb.Snapshot, error) {
	if m.shared.SnapshotStore == nil || below == 0 {
		return memory{}, nil, nil
	}
	taken, err := m.shared.SnapshotStore.GetSnapshot(ctx, m.id, below)
	if err != nil || taken == nil {
		return memory{}, nil, err
	}
	if err := CheckKind(taken.GetKind(), m.kind); err != nil {
		return memory{}, nil, err
	}
	base, err := m.openSnapshot(ctx, taken)
	if err != nil {
		m.ignore(taken.GetSequenceNumber(), err)
		return memory{}, taken, nil
	}
	return base, taken, nil
}

func (m *eventSourced) openSnapshot(ctx context.Context, taken *egopb.Snapshot) (memory, error) {
	if got, want := taken.GetSchemaVersion(), m.settings.SchemaVersion; got != want {
		return memory{}, fmt.Errorf("its schema version is %d, not %d", got, want)
	}
	state, err := m.shared.Codec.OpenSnapshot(ctx, taken)
	if err != nil {
		return memory{}, err
	}
	return memory{state: state, revision: taken.GetSequenceNumber()}, nil
}

// ignore says that a snapshot is passed over. The entity recovers from an older one, or from its events.
func (m *eventSourced) ignore(number uint64, why error) {
	m.shared.Telemetry.SnapshotIgnored(m.kind)
	m.shared.Logger.Warn("snapshot ignored", "entity", m.id, "kind", m.kind, "number", number, "error", why)
}

// stored offers a snapshot when enough events have become durable since the last one.
func (m *eventSourced) stored(ctx context.Context, durable memory, commands *window) {
	interval := m.settings.SnapshotInterval
	if interval == 0 || m.shared.Snapshots == nil || durable.revision < m.snapshotted+interval {
		return
	}
	job := &snapshot.Job{
		Snapshot: &egopb.Snapshot{
			PersistenceId:   m.id,
			SequenceNumber:  durable.revision,
			Kind:            m.kind,
			TimeUnixNano:    m.shared.Now().UnixNano(),
			HandledCommands: commands.handled(),
			SchemaVersion:   m.settings.SchemaVersion,
			WriterId:        m.shared.WriterID,
		},
		Retention: m.settings.Retention,
	}
	if err := m.shared.Codec.PackSnapshot(ctx, job.Snapshot, durable.state); err != nil {
		m.shared.Logger.Warn("no snapshot: the state cannot be stored", "entity", m.id, "kind", m.kind, "error", err)
		m.snapshotted = durable.revision
		return
	}
	if m.shared.Snapshots.Offer(job) {
		m.snapshotted = durable.revision
	}
}
