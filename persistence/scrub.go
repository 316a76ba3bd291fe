package persistence

import "context"

// A Scrubber is a store that may leave traces of what was deleted or replaced, in free space of its files or in a log,
// until it is told to remove them.
type Scrubber interface {
	// Scrub returns once nothing is left in the files of the store of what was deleted or replaced before the call, by
	// this process. What a file system or a disk keeps of files that were overwritten or cut is beyond it.
	Scrub(ctx context.Context) error
}
