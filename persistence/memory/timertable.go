package memory

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// A timerTable keeps timers by owner and name, those that wait in order of their due times, and those that are claimed
// in order of the ends of their claims.
type timerTable struct {
	mu      sync.Mutex
	owners  map[string]map[string]*timer
	waiting timerHeap
	claimed timerHeap
	version uint64 // highest version of any timer, so that a version is not used again after its timer has gone
}

// A timer is in exactly one of the heaps.
type timer struct {
	owner, name string
	due         int64
	version     uint64
	attempts    uint32
	claimedTill time.Time
	data        []byte
	heap        *timerHeap
	index       int // in the heap
}

// A timerRecord is a timer as it was at one time.
type timerRecord struct {
	shard    uint32
	version  uint64
	attempts uint32
	data     []byte
}

// timer returns the record as a message.
func (r timerRecord) timer() (*egopb.Timer, error) {
	timer, err := decode(r.data, new(egopb.Timer))
	if err != nil {
		return nil, err
	}
	timer.Shard, timer.Version, timer.Attempts = r.shard, r.version, r.attempts
	return timer, nil
}

func (t *timerTable) init() {
	t.owners = make(map[string]map[string]*timer)
	t.waiting.before = byDue
	t.claimed.before = func(a, b *timer) bool { return a.claimedTill.Before(b.claimedTill) }
}

func byDue(a, b *timer) bool { return compareDue(a, b) < 0 }

func compareDue(a, b *timer) int {
	return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.owner, b.owner), strings.Compare(a.name, b.name))
}

// put sets a timer.
func (t *timerTable) put(owner, name string, due int64, data []byte) {
	names := t.owners[owner]
	if names == nil {
		names = make(map[string]*timer)
		t.owners[strings.Clone(owner)] = names
	}
	old := names[name]
	next := &timer{owner: strings.Clone(owner), name: strings.Clone(name), due: due, data: data}
	if old != nil {
		next.version = old.version + 1
		old.heap.remove(old)
	} else {
		next.version = t.version + 1
	}
	t.version = max(t.version, next.version)
	names[next.name] = next
	t.waiting.add(next)
}

// remove forgets a timer.
func (t *timerTable) remove(tm *timer) {
	tm.heap.remove(tm)
	names := t.owners[tm.owner]
	delete(names, tm.name)
	if len(names) == 0 {
		delete(t.owners, tm.owner)
	}
}

// claim hands out timers that are due at due, in order.
func (t *timerTable) claim(due int64, now time.Time, till time.Time, limit int) []*timer {
	for t.claimed.Len() > 0 && !t.claimed.timers[0].claimedTill.After(now) {
		expired := t.claimed.timers[0]
		t.claimed.remove(expired)
		t.waiting.add(expired)
	}
	var claimed []*timer
	for t.waiting.Len() > 0 && t.waiting.timers[0].due <= due && len(claimed) < limit {
		next := t.waiting.timers[0]
		t.waiting.remove(next)
		next.attempts++
		next.claimedTill = till
		t.claimed.add(next)
		claimed = append(claimed, next)
	}
	return claimed
}

// release ends the claim on a timer.
func (t *timerTable) release(tm *timer) {
	if tm.heap == &t.claimed {
		t.claimed.remove(tm)
		t.waiting.add(tm)
	}
}

// ofOwner returns the timers of an owner in order of their due times.
func (t *timerTable) ofOwner(owner string) []*timer {
	timers := make([]*timer, 0, len(t.owners[owner]))
	for _, tm := range t.owners[owner] {
		timers = append(timers, tm)
	}
	slices.SortFunc(timers, compareDue)
	return timers
}

// earliest returns the earliest due time, of claimed timers too.
func (t *timerTable) earliest() (due int64, ok bool) {
	if t.waiting.Len() > 0 {
		due, ok = t.waiting.timers[0].due, true
	}
	for _, tm := range t.claimed.timers {
		if !ok || tm.due < due {
			due, ok = tm.due, true
		}
	}
	return due, ok
}

// A timerHeap is a heap that knows where its timers are.
type timerHeap struct {
	timers []*timer
	before func(a, b *timer) bool
}

func (h *timerHeap) add(t *timer) {
	t.heap = h
	heap.Push(h, t)
}

func (h *timerHeap) remove(t *timer) { heap.Remove(h, t.index) }

func (h *timerHeap) Len() int           { return len(h.timers) }
func (h *timerHeap) Less(i, j int) bool { return h.before(h.timers[i], h.timers[j]) }

func (h *timerHeap) Swap(i, j int) {
	h.timers[i], h.timers[j] = h.timers[j], h.timers[i]
	h.timers[i].index, h.timers[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer) //nolint:forcetypeassert // only add pushes
	t.index = len(h.timers)
	h.timers = append(h.timers, t)
}

func (h *timerHeap) Pop() any {
	last := len(h.timers) - 1
	t := h.timers[last]
	h.timers[last] = nil
	h.timers = h.timers[:last]
	return t
}
