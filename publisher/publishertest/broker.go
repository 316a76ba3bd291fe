package publishertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/publisher"
)

// A Broker is what is put to the test. It is empty and used by nobody else.
type Broker struct {
	// Events returns a new publisher on the broker, always with the same ID. Its encoder is the default. The suite closes
	// it.
	Events func(t testing.TB) publisher.EventPublisher

	// States is the same for states. It may be nil.
	States func(t testing.TB) publisher.StatePublisher

	// Received returns all that the broker has taken, in an order in which messages of one key are as they arrived.
	Received func(t testing.TB) []Received

	// Outage takes the broker down and returns what brings it back, with all that it had taken. It may be nil.
	Outage func(t testing.TB) (restore func())

	// Oversized is a size of a payload, in bytes, that the broker never takes. It may be zero: it takes everything.
	Oversized int
}

// Received is a message that the broker has taken.
type Received struct {
	ID   string // the value of publisher.HeaderEventID
	Key  string
	Body []byte
}

// A need is a part of [Broker] that a case does not work without.
type need uint8

const (
	needEvents need = 1 << iota
	needStates
	needOutage
	needOversized
)

func (b Broker) provides() need {
	var has need
	if b.Events != nil {
		has |= needEvents
	}
	if b.States != nil {
		has |= needStates
	}
	if b.Outage != nil {
		has |= needOutage
	}
	if b.Oversized > 0 {
		has |= needOversized
	}
	return has
}

// A Case is one thing that every publisher must do.
type Case struct {
	Name string
	// Run checks publishers on a broker that is empty. It fails t, also by FailNow, when they do not do it.
	Run func(t testing.TB, b Broker)

	needs need
}

// Applies reports whether the broker has everything that the case needs.
func (c Case) Applies(b Broker) bool { return b.provides()&c.needs == c.needs }

// Cases returns all cases. Their names are unique.
func Cases() []Case {
	var cases []Case
	for _, group := range []func() []Case{eventCases, failureCases, outageCases, stateCases, engineCases} {
		cases = append(cases, group()...)
	}
	return cases
}

// Run tests publishers with all cases that apply to them. The function returns an empty broker that no other call gets, and
// registers its cleanup with t.
func Run(t *testing.T, open func(t testing.TB) Broker) {
	t.Helper()
	provided, applied := open(t), 0
	for _, c := range Cases() {
		if !c.Applies(provided) {
			continue
		}
		applied++
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, open(t))
		})
	}
	require.NotZero(t, applied, "no case applies to this broker")
}
