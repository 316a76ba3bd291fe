package consumer

import (
	"slices"
	"sync"
)

// turn is how many events of an entity are handled before others get a turn.
const turn = 100

// A window is what a worker has read of its shard and not recorded yet, when entities are handled side by side: as many
// lanes as the consumer says, each with an entity, or some for a [BatchSink], that no other lane is at. A slow entity keeps
// its lane and holds the offset back, while the others go on until the window is full.
type window struct {
	worker  *worker
	changed chan struct{} // holds a token when a lane has ended
	runners sync.WaitGroup

	mu       sync.Mutex
	items    []*item            // in order, from the first that is not done
	waiting  map[string][]*item // by entity
	busy     map[string]struct{}
	ready    []string // entities that wait and are not busy, the first that came first
	running  int
	problems []error
}

func newWindow(w *worker) *window {
	return &window{
		worker:  w,
		changed: make(chan struct{}, 1),
		waiting: make(map[string][]*item),
		busy:    make(map[string]struct{}),
	}
}

// add takes a page into the window and begins with it.
func (n *window) add(items []item) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.items = slices.Grow(n.items, len(items))
	for i := range items {
		it := &items[i]
		n.items = append(n.items, it)
		if it.done.Load() {
			continue
		}
		id := it.entity()
		if _, busy := n.busy[id]; !busy && len(n.waiting[id]) == 0 {
			n.ready = append(n.ready, id)
		}
		n.waiting[id] = append(n.waiting[id], it)
	}
	n.dispatch()
}

// dispatch starts lanes for those who wait. The lock is held.
func (n *window) dispatch() {
	for n.running < n.worker.spec.Parallelism && len(n.ready) > 0 && len(n.problems) == 0 {
		next := n.take()
		n.running++
		n.runners.Go(func() { n.run(next) })
	}
}

// take makes a lane of those who wait longest. The lock is held.
func (n *window) take() *lane {
	entities, most := 1, turn
	if _, batches := n.worker.spec.Sink.(BatchSink); batches {
		free := n.worker.spec.Parallelism - n.running
		entities, most = (len(n.ready)+free-1)/free, n.worker.spec.BatchSize
	}
	l := new(lane)
	for len(l.entities) < entities && len(l.items) < most {
		id := n.ready[0]
		n.ready = n.ready[1:]
		waiting := n.waiting[id]
		count := min(len(waiting), most-len(l.items))
		l.items, l.entities = append(l.items, waiting[:count]...), append(l.entities, id)
		n.busy[id] = struct{}{}
		if count < len(waiting) {
			n.waiting[id] = waiting[count:]
		} else {
			delete(n.waiting, id)
		}
	}
	if len(l.entities) > 1 {
		slices.SortFunc(l.items, func(a, b *item) int { return int(int64(a.position()) - int64(b.position())) })
	}
	return l
}

// run handles lanes until nobody waits.
func (n *window) run(l *lane) {
	for l != nil {
		err := survive(func() error { return n.worker.handleLane(l) })
		l = n.next(l, err)
	}
}

// next ends a lane and returns the one to go on with.
func (n *window) next(l *lane, err error) *lane {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer signal(n.changed)
	for _, id := range l.entities {
		delete(n.busy, id)
		if len(n.waiting[id]) > 0 {
			n.ready = append(n.ready, id)
		}
	}
	if err != nil {
		n.problems = append(n.problems, err)
		n.worker.haltSoon()
	}
	n.running--
	if len(n.problems) > 0 || len(n.ready) == 0 {
		return nil
	}
	following := n.take()
	n.running++
	n.dispatch()
	return following
}

// lowWater returns the position up to which everything is done, or the one before it, and when the first event that is not
// done was written; zero when there is none.
func (n *window) lowWater(position uint64) (mark uint64, oldest int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	done := 0
	for _, it := range n.items {
		if !it.done.Load() {
			oldest = it.record.Stored.GetTimeUnixNano()
			break
		}
		position = it.position()
		done++
	}
	clear(n.items[:done]) // for the collector
	n.items = n.items[done:]
	return position, oldest
}

// idle reports whether no lane runs and nobody waits for one.
func (n *window) idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running == 0
}

// failure returns the first reason why the worker cannot go on.
func (n *window) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return worst(n.problems...)
}

// stop lets no lane begin, waits for those that run and returns what went wrong.
func (n *window) stop(reason error) error {
	n.mu.Lock()
	n.problems = append(n.problems, reason)
	n.mu.Unlock()
	n.runners.Wait()
	return n.failure()
}
