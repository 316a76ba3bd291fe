package ego

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/saga"
)

const (
	sagaPage    = 512 // sagas that are looked at before any of them is yielded
	sagaReaders = 8   // that look at them side by side
)

// Sagas streams the sagas of a status, in byte order of their ids, as far as their kinds are known to the engine. It reads
// the newest record of every saga that was ever started, and the whole stream only of those that it returns or that have not
// finished. It reads the sagas of a page of 512 side by side, and keeps one page in memory. A saga that cannot be read is
// yielded as an error and the sequence goes on; after an error of the store it ends. Sagas that were erased are passed over.
func (e *Engine) Sagas(ctx context.Context, status SagaStatus) iter.Seq2[*SagaInfo, error] {
	return func(yield func(*SagaInfo, error) bool) {
		n, err := e.sagas()
		if err != nil {
			yield(nil, err)
			return
		}
		for ids, err := range n.sagas.pages(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, found := range n.sagas.look(ctx, ids, status) {
				if found.info == nil && found.err == nil {
					continue
				}
				if !yield(found.info, found.err) || ctx.Err() != nil {
					return
				}
			}
		}
	}
}

// A foundSaga is a saga of the status that was asked for, or why that cannot be said; neither for one of another status.
type foundSaga struct {
	info *SagaInfo
	err  error
}

// look looks at the sagas of a page, side by side.
func (ss *sagas) look(ctx context.Context, ids []string, status SagaStatus) []foundSaga {
	found := make([]foundSaga, len(ids))
	var group sync.WaitGroup
	for reader := range min(sagaReaders, len(ids)) {
		group.Go(func() {
			for i := reader; i < len(ids) && ctx.Err() == nil; i += sagaReaders {
				info, err := ss.matching(ctx, ids[i], status)
				if err != nil {
					err = sagaError(ids[i], err)
				}
				found[i] = foundSaga{info, err}
			}
		})
	}
	group.Wait()
	return found
}

// matching returns a saga of a status, nil when it has another.
func (ss *sagas) matching(ctx context.Context, id string, status SagaStatus) (*SagaInfo, error) {
	n := ss.node
	latest, err := n.events.GetLatestEvent(ctx, saga.Prefix+id)
	if err != nil || latest == nil || envelope.IsErasure(latest) {
		return nil, err
	}
	finished := saga.IsEnd(latest)
	if finished == (status == SagaRunning || status == SagaCompensating) {
		return nil, nil //nolint:nilnil // not one of them
	}
	if finished {
		end, err := n.codec.Open(ctx, latest)
		if err != nil || len(end) != 1 || SagaStatus(saga.EndOf(end[0].Message)) != status {
			return nil, err
		}
	}
	if _, err := ss.behaviorOf(id, latest.GetKind()); errors.Is(err, ErrKindNotRegistered) {
		return nil, nil //nolint:nilnil // of another engine
	}
	info, err := ss.info(ctx, id)
	if err != nil || info.Status != status {
		return nil, err
	}
	return info, nil
}

// pages streams the ids of all sagas in pages. They stand together among the persistence ids.
func (ss *sagas) pages(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		token := ""
		for {
			ids, next, err := ss.node.events.PersistenceIDs(ctx, sagaPage, token)
			if err != nil {
				yield(nil, err)
				return
			}
			page, behind := sagaIDs(ids)
			if len(page) > 0 && !yield(page, nil) || behind || next == "" {
				return
			}
			token = next
		}
	}
}

// sagaIDs returns the ids of sagas among persistence ids in order, and whether all others come after them.
func sagaIDs(ids []string) (page []string, behind bool) {
	for _, id := range ids {
		switch {
		case id < saga.Prefix:
		case len(id) < len(saga.Prefix) || id[:len(saga.Prefix)] != saga.Prefix:
			return page, true
		default:
			page = append(page, id[len(saga.Prefix):])
		}
	}
	return page, false
}
