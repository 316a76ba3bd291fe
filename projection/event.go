package projection

import (
	"time"

	"google.golang.org/protobuf/proto"
)

// An Event is one event of the journal as user code sees it: opened and typed.
type Event struct {
	PersistenceID  string // the entity
	Kind           string // name of the behaviour that wrote it
	SequenceNumber uint64 // place in the entity's journal, from 1, without gaps
	Position       uint64 // place in its shard, from 1, without gaps
	Shard          uint32
	Time           time.Time // clock of the writer; nothing is ordered by it
	Message        proto.Message
	Metadata       Metadata
}

// Metadata is what is known of the command behind an event. The zero value knows nothing.
type Metadata struct {
	CommandID     string            // id under which the command was sent
	CorrelationID string            // shared by everything that one cause set in motion
	CausationID   string            // what caused the command directly
	TraceParent   string            // W3C trace context
	TraceState    string            // W3C trace context
	Tags          []string          // labels by which consumers select events
	Values        map[string]string // the user's own pairs
}
