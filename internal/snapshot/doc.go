// Package snapshot writes snapshots and applies retention, both beside the commands: nothing here can delay or fail one.
//
// An entity offers a snapshot of its durable state after it has answered. The writer keeps at most one job per entity, the
// newest, in a bounded queue; a snapshot that finds no room is not taken, and the entity offers again after its next
// event. A job writes the snapshot and, once that is durable, deletes what the retention policy no longer needs. A step
// that fails is tried again, after a second at first and half a minute at last, until it succeeds or a newer snapshot of
// the entity takes its place. [Writer.Status] tells what is failing.
//
// A crash loses at most the snapshots that were queued: recovery then replays a few more events. It may come between the
// snapshot and the deletion, and the next snapshot deletes what this one has left.
package snapshot
