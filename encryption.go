package ego

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
)

// WithEncryption seals the payloads of events, snapshots and durable states with the keys of their entities, see package
// encryption, which also says what is not sealed. Records that were stored before stay readable. To turn it off again,
// give an encryptor that was made with encryption.WithoutSealing. Start asks the encryptor whether it can work.
func WithEncryption(encryptor encryption.Encryptor) Option {
	return engineOption(func(c *config) { c.encryptor = encryptor })
}

// WithEventAdapters gives events of the past the shape of today wherever they are read, see package eventadapter. Adapters
// of several calls add up in order. Start rejects a chain that cannot work.
func WithEventAdapters(adapters ...eventadapter.EventAdapter) Option {
	return engineOption(func(c *config) { c.adapters = append(c.adapters, adapters...) })
}

// WithEventVersion sets the schema version that is stored with the events of an entity, by which event adapters can tell
// old events from new ones of the same type. Raise it when the meaning of an event changes. The default is zero.
func WithEventVersion(version uint32) SpawnOption {
	return spawnOption(func(c *spawnConfig) { c.settings.EventVersion = version })
}

// An ErasurePolicy says what [Engine.EraseEntity] does.
type ErasurePolicy struct {
	// StartAnew lets an entity that was erased begin another life with the next command: from its initial state, with
	// numbers that go on, once its erasure is finished. Without it commands are refused with [ErrErased] for ever.
	StartAnew bool

	// KeepSealed leaves sealed events in the journal. Without their key they are noise, but their metadata stays readable.
	// Events that were stored plain are deleted all the same.
	KeepSealed bool

	// OnErased is called by every erasure, after the records are gone and before it counts as finished, so at least once
	// per erasure. An error leaves the erasure pending. Handlers of projections have a hook of their own, see
	// projection.ErasureHandler.
	OnErased func(ctx context.Context, entityID string) error
}

// WithErasurePolicy sets what [Engine.EraseEntity] does. The default refuses later commands and deletes all events.
func WithErasurePolicy(policy ErasurePolicy) Option {
	return engineOption(func(c *config) { c.erasure = policy })
}

// checkEncryption returns all that keeps records from being sealed, opened or adapted.
func (c *config) checkEncryption(ctx context.Context) error {
	_, problem := eventadapter.NewChain(c.adapters...)
	if problem != nil {
		problem = fmt.Errorf("ego: the event adapters cannot work: %w", problem)
	}
	if !c.encrypted() {
		return problem
	}
	if err := c.encryptor.Check(ctx); err != nil {
		return errors.Join(problem, fmt.Errorf("ego: the encryptor cannot work: %w", err))
	}
	return problem
}

// sealing returns what a codec is made of. The configuration is valid.
func (c *config) sealing() (encryption.Encryptor, *eventadapter.Chain) {
	chain, _ := eventadapter.NewChain(c.adapters...) // checked before
	if !c.encrypted() {
		return nil, chain
	}
	return c.encryptor, chain
}

// warnUnwrapped says that whoever can read the key store can read everything.
func (c *config) warnUnwrapped(ctx context.Context) {
	if keys, ok := c.encryptor.(interface{ Wrapped() bool }); ok && !keys.Wrapped() {
		c.logger.WarnContext(ctx, "data keys are stored without a master key around them")
	}
}
