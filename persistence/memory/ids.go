package memory

import (
	"slices"
	"sync"
)

// sortedIDs keeps ids in byte order. Adding is cheap, as appends do it; listing, which is rare, pays for the sorting.
type sortedIDs struct {
	mu     sync.Mutex // taken while that of a shard is held
	sorted []string
	added  []string // since the last listing
}

func (s *sortedIDs) add(id string) {
	s.mu.Lock()
	s.added = append(s.added, id)
	s.mu.Unlock()
}

// list returns at most limit ids above the one given, and whether there are more.
func (s *sortedIDs) list(after string, limit int) (ids []string, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merge()
	from, found := slices.BinarySearch(s.sorted, after)
	if found {
		from++
	}
	rest := s.sorted[from:]
	if len(rest) > limit {
		return slices.Clone(rest[:limit]), true
	}
	return slices.Clone(rest), false
}

// merge moves the added ids to their places, from the back so that it needs no second slice.
func (s *sortedIDs) merge() {
	if len(s.added) == 0 {
		return
	}
	slices.Sort(s.added)
	i, j := len(s.sorted)-1, len(s.added)-1
	s.sorted = append(s.sorted, s.added...)
	for k := len(s.sorted) - 1; j >= 0; k-- {
		if i >= 0 && s.sorted[i] > s.added[j] {
			s.sorted[k] = s.sorted[i]
			i--
		} else {
			s.sorted[k] = s.added[j]
			j--
		}
	}
	s.added = s.added[:0]
}
