package projection

import "context"

// An ErasureHandler is a [Handler] that wants to forget what it has learnt of an entity that was erased. The events of such
// an entity are passed over wherever they cannot be read any more.
type ErasureHandler interface {
	// OnErased is called in place of the event that ends the life of an entity, so after everything that was stored of the
	// entity before it and before everything after it. What is parked of that life is deleted before, and does not hold it
	// back. Like an event it may come more than once, also in a rebuild that
	// has seen nothing of the entity. An error is a failure of that event.
	OnErased(ctx context.Context, entityID string) error
}
