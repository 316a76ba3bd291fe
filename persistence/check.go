package persistence

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/actorkeep/ego/egopb"
)

// MaxIDLength is the longest persistence id in bytes. It leaves room in the index pages of every backend.
const MaxIDLength = 2048

// CheckID returns an [InvalidRecordError] unless the id is one that every store can hold: not empty, at most
// [MaxIDLength] bytes, valid UTF-8 and without a zero byte.
func CheckID(persistenceID string) error {
	switch {
	case persistenceID == "":
		return &InvalidRecordError{Reason: "the persistence id is empty"}
	case len(persistenceID) > MaxIDLength:
		return &InvalidRecordError{PersistenceID: persistenceID[:32] + "…",
			Reason: fmt.Sprintf("the persistence id has %d bytes, more than %d", len(persistenceID), MaxIDLength)}
	case !utf8.ValidString(persistenceID):
		return &InvalidRecordError{PersistenceID: persistenceID, Reason: "the persistence id is not valid UTF-8"}
	case strings.IndexByte(persistenceID, 0) >= 0:
		return &InvalidRecordError{PersistenceID: persistenceID, Reason: "the persistence id has a zero byte"}
	default:
		return nil
	}
}

// A Run is the contiguous part of one entity in a batch of events.
type Run struct {
	PersistenceID string
	First, Last   uint64 // sequence numbers
}

// Runs checks a batch for [EventsStore].WriteEvents and returns the run of each entity in order of appearance. The error
// is an [InvalidRecordError], or a [ConflictError] where an entity's numbers do not follow each other. Numbers above
// [math.MaxInt64] are invalid, as not every backend can hold them.
func Runs(events []*egopb.Event) ([]Run, error) {
	return AppendRuns(make([]Run, 0, 8), events)
}

// AppendRuns is [Runs] for callers that reuse the memory of the result: it overwrites runs from its start. It allocates
// nothing while the batch has few entities and the capacity of runs suffices.
func AppendRuns(runs []Run, events []*egopb.Event) ([]Run, error) {
	runs = runs[:0]
	var index map[string]int // made once the batch is too large to search
	for _, event := range events {
		if event == nil {
			return nil, &InvalidRecordError{Reason: "the event is nil"}
		}
		id, number := event.GetPersistenceId(), event.GetSequenceNumber()
		if err := CheckID(id); err != nil {
			return nil, err
		}
		switch {
		case number == 0 || number > math.MaxInt64:
			return nil, &InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf("sequence number %d is out of range", number)}
		case event.GetDeleted():
			return nil, &InvalidRecordError{PersistenceID: id, Reason: "the event is a tombstone"}
		}
		if index == nil && len(runs) > 16 {
			index = make(map[string]int, len(events))
			for i, run := range runs {
				index[run.PersistenceID] = i
			}
		}
		i := findRun(runs, index, id)
		if i < 0 {
			if index != nil {
				index[id] = len(runs)
			}
			runs = append(runs, Run{PersistenceID: id, First: number, Last: number})
			continue
		}
		if number != runs[i].Last+1 {
			return nil, &ConflictError{PersistenceID: id, Expected: number, Actual: runs[i].Last}
		}
		runs[i].Last = number
	}
	return runs, nil
}

// findRun returns where the run of an entity stands, or -1. The last run is the likeliest.
func findRun(runs []Run, index map[string]int, id string) int {
	if n := len(runs); n > 0 && runs[n-1].PersistenceID == id {
		return n - 1
	}
	if index != nil {
		if i, ok := index[id]; ok {
			return i
		}
		return -1
	}
	for i := range runs {
		if runs[i].PersistenceID == id {
			return i
		}
	}
	return -1
}
