package saga

import (
	"strconv"
	"strings"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// TimerKind is the kind of the timers that sagas own in the store.
const TimerKind = "ego.saga"

// IndexKind is the kind of the timers that list the running sagas of a kind that see every event. They are never due.
const IndexKind = "ego.saga.index"

// The names of a saga's timers in the store. Those of the user's timers begin with userTimer, their generation and a slash.
const (
	watchdog  = "watchdog"
	deadline  = "deadline"
	userTimer = "timer/"
)

// never is when the timers of the index are due.
const never = 1<<63 - 1

// userRow returns the name of a user's timer in the store. The generation is part of it, so that setting a timer anew never
// touches the earlier one before the new one is part of the stream.
func userRow(name string, generation uint64) string {
	return userTimer + strconv.FormatUint(generation, 10) + "/" + name
}

// parseRow returns what userRow was given; for other rows the generation is zero.
func parseRow(row string) (name string, generation uint64) {
	rest, ok := strings.CutPrefix(row, userTimer)
	if !ok {
		return row, 0
	}
	number, name, ok := strings.Cut(rest, "/")
	generation, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || generation == 0 {
		return row, 0
	}
	return name, generation
}

// row returns a timer for the store.
func (m *Machine) row(name string, due int64) *egopb.Timer {
	return &egopb.Timer{Owner: m.config.PersistenceID, Name: name, Kind: TimerKind, DueUnixNano: due, CorrelationId: m.config.ID}
}

// IndexOwner returns who owns the timers that list the running sagas of a kind.
func IndexOwner(kind string) string { return "!sagas/" + kind }

// watchUntil returns when the timer that watches over a saga is to be due.
func (m *Machine) watchUntil(s *State, now time.Time) time.Time {
	if len(s.Commands) == 0 {
		return now.Add(m.config.IdleWatch)
	}
	longest := m.config.ResumeAfter
	for _, c := range s.Commands {
		if t := c.GetTimeout(); t != nil {
			longest = max(longest, t.AsDuration()+m.config.ResumeAfter)
		}
	}
	return now.Add(longest)
}
