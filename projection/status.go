package projection

import (
	"fmt"
	"time"
)

// A State is the condition of a projection or of one of its shards.
type State int

const (
	// Stopped is a projection that this process does not run.
	Stopped State = iota
	// Running is one that works, or waits for events or for a shard.
	Running
	// BackingOff is one that waits after an error of a store before it tries again.
	BackingOff
	// Failed is one that does not go on by itself.
	Failed
)

// String returns the name of the state.
func (s State) String() string {
	names := [...]string{"stopped", "running", "backing off", "failed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return names[s]
}

// Counts are events since the process started the projection.
type Counts struct {
	Handled uint64 // the handler took them
	Passed  uint64 // deleted, erased, or not selected by the filter
	Skipped uint64 // given up
	Parked  uint64 // put into the dead-letter store
	Retries uint64 // calls of the handler that repeated a failed one
}

// Status is the condition of a projection as this process knows it.
type Status struct {
	Name   string
	State  State // the worst of its shards
	Err    error // why it is backing off or failed
	Counts Counts
	Shards []ShardStatus // in order; those that other processes own are Running as far as this one knows
}

// ShardStatus is the condition of one shard of a projection.
type ShardStatus struct {
	Shard    uint32
	Owner    string // process that holds the lease; empty when nobody does
	Local    bool   // the owner is this process
	State    State
	Err      error
	Reason   string // one word for Err: handler, panic, exit, order, unavailable or store
	Position uint64 // everything up to it is done
	Epoch    uint64 // of the lease
	Lag      *Lag   // as this process knows it without asking the store; nil when it does not
}

// Lag is how far a projection is behind in one shard.
type Lag struct {
	Events uint64        // positions of the shard that are not done; zero when it has caught up
	Behind time.Duration // age of the oldest event that is not done; zero when it has caught up, and never below zero
}

// DeadLetter is an event that was set aside.
type DeadLetter struct {
	Projection     string
	PersistenceID  string
	SequenceNumber uint64
	Shard          uint32
	Position       uint64
	Event          *Event    // nil when it cannot be opened, or opens to nothing
	Reason         string    // why the handler failed; empty when the event only waits behind another of its entity
	Attempts       uint32    // calls of the handler
	Time           time.Time // when it was set aside
}
