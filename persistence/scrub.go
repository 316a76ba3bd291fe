package persistence

import "context"

// A Scrubber is a store that may leave traces of what was deleted or replaced, in free space of its files or in a log,
// until it is told to remove them.
type Scrubber interface {
	// Scrub returns once nothing is left in the files of the store of what was deleted or replaced before the call, by
	// this process. What a file system or a disk keeps of files that were overwritten or cut is beyond it.
	Scrub(ctx context.Context) error
}

// A StateClearer is a [StateStore] that may keep the content of states that were replaced, as it takes it out after the
// write and that can fail.
type StateClearer interface {
	// ClearStates returns once nothing is left of the states of an entity but the latest, whoever wrote them. It may be
	// called again after an error.
	ClearStates(ctx context.Context, persistenceID string) error
}
