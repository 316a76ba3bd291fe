package ego

import (
	"context"
	"fmt"

	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/saga"
)

// EraseSaga makes all that is stored of a saga that has finished unreadable for ever, as [Engine.EraseEntity] does for an
// entity: its key is destroyed first, if there is an encryptor, and its records, with the commands that it has sent and the
// events of its own, are deleted. What stays is that there was such a saga: it never runs again, whatever the
// [ErasurePolicy] says. [Engine.Saga] and [Engine.SagaStatus] are [ErrErased] for it, and events pass it over.
//
// A saga that has not finished is [ErrSagaNotFinished]: cancel it first, or what it did is never taken back. One that has
// failed counts as finished, and is given up. One that is not known is [ErrEntityNotFound]. The hook of the policy is called
// with the persistence id of the saga, "!saga/" and its id. An erasure that is cut off is finished as that of an entity.
func (e *Engine) EraseSaga(ctx context.Context, sagaID string) error {
	n, err := e.sagas()
	if err != nil {
		return err
	}
	if err := checkSagaID(sagaID); err != nil {
		return err
	}
	if err := n.sagas.erase(ctx, saga.Prefix+sagaID); err != nil {
		return sagaError(sagaID, err)
	}
	return nil
}

func (ss *sagas) erase(ctx context.Context, pid string) error {
	n := ss.node
	latest, err := n.events.GetLatestEvent(ctx, pid)
	if err != nil {
		return err
	}
	if latest != nil && !saga.IsEnd(latest) && !envelope.IsErasure(latest) {
		return ErrSagaNotFinished
	}
	if n.cluster != nil {
		err = n.cluster.erase(ctx, pid)
	} else {
		err = n.erase(ctx, pid)
	}
	if err != nil {
		return fmt.Errorf("the erasure is not finished: %w", err)
	}
	return nil
}
