package cluster

import "time"

// A State is where a node is in its life.
type State int

// The states of a node.
const (
	Joining State = iota // it has had no quorum since it joined
	Serving              // it has a quorum, or lost it a moment ago
	Fenced               // it lost its quorum and owns nothing
	Leaving              // it is about to stop
)

func (s State) String() string {
	return [...]string{"joining", "serving", "fenced", "leaving"}[s]
}

// fence decides from the number of live members whether a node may serve, and when it must join anew. It has no clock:
// whoever uses it observes every second or so.
type fence struct {
	quorum int
	grace  time.Duration // how long a serving node may go without a quorum
	rejoin time.Duration // how long a node that does not serve waits before it joins anew

	state State
	since time.Time // when the state began
	short time.Time // when the quorum was lost; zero while there is one
}

// joined begins a new membership.
func (f *fence) joined(now time.Time) {
	f.state, f.since, f.short = Joining, now, time.Time{}
}

// observe tells the fence how many members are live. It returns whether the node has to join anew.
func (f *fence) observe(now time.Time, live int) (rejoin bool) {
	switch {
	case f.state == Leaving:
		return false
	case live >= f.quorum:
		f.short = time.Time{}
		if f.state != Serving {
			f.enter(Serving, now)
		}
		return false
	case f.state == Serving && f.short.IsZero():
		f.short = now
		return false
	case f.state == Serving && now.Sub(f.short) >= f.grace:
		f.enter(Fenced, now)
		return true
	case f.state == Serving:
		return false
	default:
		return now.Sub(f.since) >= f.rejoin
	}
}

func (f *fence) enter(state State, now time.Time) {
	f.state, f.since = state, now
}
