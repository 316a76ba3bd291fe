package ego

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/saga"
)

const (
	effectPage = 256
	clockSlack = time.Hour // by which the clocks of two processes may differ
)

// tookEffect finds out whether a command of a saga that may have been sent before took effect, beyond the window in which the
// entity itself would know: it looks for the command's id in the entity's events, from the newest back to when the command
// was issued. It returns the state of the entity when it finds it. A durable-state entity has its window only.
func (ss *sagas) tookEffect(ctx context.Context, job *saga.Job) (state proto.Message, done bool, err error) {
	n := ss.node
	id := job.Command.GetEntityId()
	if checkEntityID(id) != nil {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.config.recoveryTimeout)
	defer cancel()
	latest, err := n.events.GetLatestEvent(ctx, id)
	if err != nil || latest == nil {
		return nil, false, undecided(err)
	}
	since := job.Command.GetIssuedUnixNano() - int64(clockSlack)
	for to := latest.GetSequenceNumber(); to > 0; {
		from := max(to, effectPage) - effectPage + 1
		oldest := int64(0)
		for event, err := range n.events.ReplayEvents(ctx, id, from, to) {
			if err != nil {
				return nil, false, undecided(err)
			}
			if oldest == 0 {
				oldest = event.GetTimeUnixNano()
			}
			if event.GetCommandId() == job.Command.GetCommandId() {
				state, _, err := n.dispatch(ctx, id, nil, job.Command.GetTimeout().AsDuration())
				return state, err == nil, undecided(err)
			}
		}
		if oldest == 0 || oldest < since {
			return nil, false, nil
		}
		to = from - 1
	}
	return nil, false, nil
}

// wanted finds out whether a saga still waits for the answer to a command: another process may have taken it up meanwhile
// and brought it further. An attempt is bounded from before this question, see [saga.AttemptTimeout].
func (ss *sagas) wanted(ctx context.Context, job *saga.Job) (bool, error) {
	latest, err := ss.node.events.GetLatestEvent(ctx, job.PersistenceID)
	if err != nil {
		return false, err
	}
	if latest == nil || saga.IsEnd(latest) || envelope.IsErasure(latest) {
		return false, nil
	}
	behavior, err := ss.behaviorOf(job.SagaID, latest.GetKind())
	if err != nil {
		return false, err
	}
	state, err := ss.fold(ctx, job.SagaID, latest, behavior)
	if err != nil {
		return false, err
	}
	return state.Waits(job.Command.GetCommandId()), nil
}

// undecided says that an error leaves the outcome of a command as unknown as it was.
func undecided(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
}
