package cluster

import (
	"slices"
	"time"
)

// After a cut, or after a process was suspended for some seconds, memberships differ for ever: nodes that know each other
// no longer count each other in. Greetings show it. Of two nodes that see different clusters exactly one must join anew,
// and both have to come to the same verdict from the same two lists.

// mustYield reports whether a node that sees mine has to join anew because a peer sees theirs. It is false for both when
// each counts the other in.
func mustYield(self ID, mine []ID, peer ID, theirs []ID) bool {
	sees, seen := slices.Contains(mine, peer), slices.Contains(theirs, self)
	switch {
	case sees && seen:
		return false
	case sees:
		return true // it has been given up
	case seen:
		return false
	case len(mine) != len(theirs):
		return len(mine) < len(theirs)
	}
	return slices.CompareFunc(sorted(mine), sorted(theirs), compareIDs) > 0
}

func sorted(ids []ID) []ID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	return ids
}

// A verdict must stand for a while: memberships differ for a moment whenever somebody joins or leaves.
type splits struct {
	patience time.Duration
	since    time.Time // when the node first had to yield; zero when it need not
}

// observe is told whether the node has to yield to somebody now. It returns whether it has had to for long enough.
func (s *splits) observe(now time.Time, yield bool) bool {
	if !yield {
		s.since = time.Time{}
		return false
	}
	if s.since.IsZero() {
		s.since = now
	}
	return now.Sub(s.since) >= s.patience
}
