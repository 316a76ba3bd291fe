package ego

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/erasure"
	"github.com/actorkeep/ego/persistence"
)

// EraseEntity makes all that is stored of an entity unreadable for ever. It destroys the keys of the entity first, if there
// is an encryptor, so nothing that was sealed can be opened from then on, in this process at once and in others after the
// cache time of their encryptors. Then it stops the live entity and deletes the events, snapshots, state and timers, and the
// dead letters of the projections and publishers that are registered here; those of others go when they come to the end of the
// entity. What stays is that there was such an entity: its id, its kind and its highest number, so that no number is used
// again. Projections pass over it and are told, see projection.ErasureHandler. Without an encryptor it does the same by
// deleting alone, and what of it others have, such as backups, stays readable.
//
// Other processes that hold the entity live refuse its commands from then on, and stop answering from memory after
// [WithMemoryTime].
//
// Later commands are [ErrErased], unless [WithErasurePolicy] lets the entity start anew.
//
// An erasure that is cut off, by an error or a crash, is finished by the next call. It is also finished by the next Start
// of an engine, when the key store remembers it: the encryptor's, or without an encryptor the events or state store that
// is an encryption.KeyStore, as all stores of ego are. Erasing an erased entity does nothing new. An entity that nobody
// knows is [ErrEntityNotFound].
func (e *Engine) EraseEntity(ctx context.Context, entityID string) error {
	n, err := e.running()
	if err != nil {
		return failure(entityID, nil, err)
	}
	if err := checkEntityID(entityID); err != nil {
		return failure(entityID, nil, err)
	}
	if n.cluster != nil {
		err = n.cluster.erase(ctx, entityID)
	} else {
		err = n.erase(ctx, entityID)
	}
	if err != nil {
		return failure(entityID, nil, fmt.Errorf("the erasure is not finished: %w", err))
	}
	return nil
}

// erase erases an entity that is live on this node, or on none.
func (n *node) erase(ctx context.Context, id string) error {
	err := n.eraser.Erase(ctx, id, n.eraseHint(id))
	if errors.Is(err, erasure.ErrUnknown) {
		return ErrEntityNotFound
	}
	return err
}

// eraseHint says what an entity is that may have stored nothing yet.
func (n *node) eraseHint(id string) erasure.Hint {
	entry := n.spawned.get(id)
	if entry == nil {
		return erasure.Hint{}
	}
	_, durable := entry.behavior.(DurableStateBehavior)
	return erasure.Hint{Kind: entry.kind, Durable: durable}
}

// letGo ends a live entity and all that is still being written of it.
func (n *node) letGo(ctx context.Context, id string) error {
	n.spawned.remove(id)
	if err := n.host.Evict(ctx, id); err != nil {
		return err
	}
	if n.writer == nil {
		return nil
	}
	return n.writer.Forget(ctx, id)
}

func (n *node) newEraser(s stores) *erasure.Eraser {
	return erasure.New(erasure.Config{
		Codec:      n.codec,
		Erasures:   n.erasures(s),
		Events:     s.events,
		Journal:    n.shared.Journal,
		Snapshots:  s.snapshots,
		States:     s.states,
		Timers:     s.timers,
		Scrubbers:  n.scrubbers(s),
		WriterID:   n.shared.WriterID,
		Now:        time.Now,
		Logger:     n.config.logger,
		LetGo:      n.letGo,
		OnErased:   n.config.erasure.OnErased,
		Letters:    n.consumers.forget,
		KeepSealed: n.config.erasure.KeepSealed && n.config.encrypted(),
	})
}

// erasures returns what remembers pending erasures.
func (n *node) erasures(s stores) encryption.Erasures {
	if n.config.encrypted() {
		return n.config.encryptor
	}
	if keys, ok := s.events.(encryption.KeyStore); ok {
		return keys
	}
	if keys, ok := s.states.(encryption.KeyStore); ok {
		return keys
	}
	return nil
}

// finished returns what refuses an entity another life while its erasure is pending: whoever finishes it would erase that
// life too. An encryptor refuses it by itself.
func (n *node) finished(erasures encryption.Erasures) func(ctx context.Context, id string) error {
	if n.config.encrypted() || erasures == nil {
		return nil
	}
	return func(ctx context.Context, id string) error {
		life, err := erasures.LifeOf(ctx, id)
		if err == nil && life.Phase == encryption.Erasing {
			err = &encryption.ErasedError{PersistenceID: id}
		}
		return err
	}
}

// scrubbers returns the stores that can be scrubbed, each once.
func (n *node) scrubbers(s stores) []persistence.Scrubber {
	candidates := []any{s.events, s.snapshots, s.states}
	if holder, ok := n.config.encryptor.(interface{ KeyStore() encryption.KeyStore }); ok {
		candidates = append(candidates, holder.KeyStore())
	}
	var found []persistence.Scrubber
	for _, candidate := range candidates {
		if scrubber, ok := candidate.(persistence.Scrubber); ok && !slices.Contains(found, scrubber) {
			found = append(found, scrubber)
		}
	}
	return found
}

// resumeErasures finishes what other runs have left pending. What it cannot finish is logged and reported by Health.
func (n *node) resumeErasures(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.config.recoveryTimeout)
	defer cancel()
	if err := n.eraser.Resume(ctx); err != nil {
		n.unerased.Store(&err)
		n.config.logger.ErrorContext(ctx, "erasures are pending", "error", err)
	}
}

// unfinished returns why erasures are pending that the start could not finish, nil once they are finished, here or elsewhere.
func (n *node) unfinished(ctx context.Context) error {
	unerased := n.unerased.Load()
	if unerased == nil {
		return nil
	}
	pending, err := n.eraser.Pending(ctx)
	if err == nil && !pending {
		n.unerased.CompareAndSwap(unerased, nil)
		return nil
	}
	return fmt.Errorf("ego: erasures are pending: %w", *unerased)
}
