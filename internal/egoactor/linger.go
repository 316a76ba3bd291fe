package egoactor

import (
	"sync"
	"sync/atomic"
	"time"
)

// GoAkt starts a goroutine for each burst of messages to an actor. A burst of one command costs more than the command:
// the new goroutine has to be started and its stack to be grown. So the actor of a busy entity lingers when its queue is
// empty: its goroutine parks and the next request resumes it. An entity is busy when it got a request within the last tick
// before; one that gets none for a tick stops lingering and keeps no goroutine.
const (
	lingerTick = 20 * time.Millisecond
	maxLinger  = 1024 // actors that may linger at once; each keeps a goroutine with its stack
)

// linger is what a cell knows of its lingering. The lock of the cell guards it, except for resume, which is set once
// before the actor first parks.
type linger struct {
	parked  bool
	present bool      // the lounge looks after the cell
	last    uint32    // tick of the newest burst
	resume  chan bool // tells a parked actor to go on: true for a request, false to rest
}

// lingers parks the actor of a busy entity and reports whether it was resumed by a request.
func (c *Cell) lingers() bool {
	l := &c.linger
	now := c.host.lounge.tick.Load()
	c.mu.Lock()
	busy := now-l.last <= 1
	l.last = now
	if !busy || c.head != nil || c.due || c.evicting || c.closed || !l.present && !c.host.lounge.enter(c) {
		c.mu.Unlock()
		return false
	}
	l.present, l.parked = true, true
	c.mu.Unlock()
	return <-l.resume
}

// leaves reports whether a cell has been without a request for a tick, and then makes its actor rest.
func (c *Cell) leaves(now uint32) bool {
	c.mu.Lock()
	l := &c.linger
	if now-l.last <= 1 {
		c.mu.Unlock()
		return false
	}
	parked := l.parked
	l.parked, l.present = false, false
	c.mu.Unlock()
	if parked {
		l.resume <- false
	}
	return true
}

// A lounge looks after the cells whose actors linger. Its lock is taken while that of a cell is held, never the other way
// round.
type lounge struct {
	tick atomic.Uint32

	mu     sync.Mutex
	cells  []*Cell
	closed bool
	wake   chan struct{} // a token when a cell has entered an empty lounge
	done   chan struct{}
	wg     sync.WaitGroup
}

func (l *lounge) open() {
	l.wake, l.done = make(chan struct{}, 1), make(chan struct{})
	l.tick.Store(2) // a cell that never had a burst is not busy
	l.wg.Go(l.run)
}

// enter lets the actor of a cell linger, if there is room. The lock of the cell is held.
func (l *lounge) enter(c *Cell) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.cells) >= maxLinger {
		return false
	}
	if c.linger.resume == nil {
		c.linger.resume = make(chan bool, 1)
	}
	l.cells = append(l.cells, c)
	if len(l.cells) == 1 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// close makes every lingering actor rest, and keeps others from lingering.
func (l *lounge) close() {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return
	}
	close(l.done)
	l.wg.Wait()
	for _, c := range l.cells {
		c.leaves(l.tick.Load() + 2)
	}
}

// run ticks while there are cells to look after.
func (l *lounge) run() {
	ticker := time.NewTicker(lingerTick)
	defer ticker.Stop()
	for {
		if l.empty() {
			ticker.Stop()
			select {
			case <-l.wake:
			case <-l.done:
				return
			}
			ticker.Reset(lingerTick)
		}
		select {
		case <-ticker.C:
			l.look(l.tick.Add(1))
		case <-l.done:
			return
		}
	}
}

func (l *lounge) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.cells) == 0
}

// look makes the actors rest that have not been busy for a tick. A cell that has left may enter again at once, so the
// cells are taken out of the list while they are looked at.
func (l *lounge) look(now uint32) {
	l.mu.Lock()
	cells := l.cells
	l.cells = nil
	l.mu.Unlock()
	stay := cells[:0]
	for _, c := range cells {
		if !c.leaves(now) {
			stay = append(stay, c)
		}
	}
	clear(cells[len(stay):])
	l.mu.Lock()
	l.cells = append(stay, l.cells...)
	l.mu.Unlock()
}
