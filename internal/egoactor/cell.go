package egoactor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"

	"github.com/actorkeep/ego/internal/entity"
)

// ErrOverloaded reports an entity with too many waiting commands.
var ErrOverloaded = errors.New("ego: too many commands wait for the entity")

// A Cell is the place of one live entity: its queue, its core and its actor.
type Cell struct {
	id   string
	host *Host
	gone chan struct{} // closed once the host has let go of the cell

	// Set before the first wake-up.
	kind string
	live atomic.Bool
	idle time.Duration // passivated after that long without a request; zero is never
	pid  *goakt.PID
	core Core        // used only by the actor
	tick *time.Timer // looks after what waits in the core; used only by the actor

	mu         sync.Mutex
	head, tail *entity.Request
	length     int
	scheduled  bool // a wake-up is on its way, or the actor is at work or lingers
	linger     linger
	due        bool // the core asked to be looked after
	holding    bool // the core holds decided requests
	touched    bool // a request came since the last sweep
	restedAt   time.Duration
	evicting   bool // to be closed as soon as it is at rest
	closed     bool
}

// Live reports whether the entity has been brought to life, and if so as what kind.
func (c *Cell) Live() (kind string, live bool) {
	if !c.live.Load() {
		return "", false
	}
	return c.kind, true
}

// enqueue adds a request. It is false when the cell is closed.
func (c *Cell) enqueue(r *entity.Request) (accepted bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false, nil
	}
	if c.length >= c.host.config.MaxQueue && !c.makeRoom() {
		c.mu.Unlock()
		return true, ErrOverloaded
	}
	c.push(r)
	c.touched = true
	call := c.callLocked()
	c.mu.Unlock()
	c.call(call)
	return true, nil
}

func (c *Cell) push(r *entity.Request) {
	if c.tail == nil {
		c.head = r
	} else {
		c.tail.Next = r
	}
	c.tail = r
	c.length++
}

// makeRoom drops the requests whose callers have given up. It is false when there are none.
func (c *Cell) makeRoom() bool {
	waiting, before := c.head, c.length
	c.head, c.tail, c.length = nil, nil, 0
	for r := waiting; r != nil; {
		next := r.Next
		r.Next = nil
		if !r.Abandoned() {
			c.push(r)
		}
		r = next
	}
	return c.length < before
}

// lookAfter makes the actor look at what waits in the core.
func (c *Cell) lookAfter() {
	c.mu.Lock()
	c.due = true
	call := c.callLocked()
	c.mu.Unlock()
	c.call(call)
}

// A calling is what it takes to get the actor to work.
type calling int

const (
	atWork    calling = iota // it will look at the queue by itself
	lingering                // its goroutine is parked
	asleep                   // it has no goroutine
)

// callLocked finds out what it takes to get the actor to work. The caller does it with call, without the lock.
func (c *Cell) callLocked() calling {
	switch {
	case c.closed:
		return atWork // it has ended
	case c.linger.parked:
		c.linger.parked = false
		return lingering
	case c.scheduled:
		return atWork
	}
	c.scheduled = true
	return asleep
}

func (c *Cell) call(how calling) {
	switch how {
	case atWork:
	case lingering:
		c.linger.resume <- true
	case asleep:
		c.wake()
	}
}

// wake tells the actor to drain the queue. An actor that somebody else has stopped cannot be told: the cell ends with it.
func (c *Cell) wake() {
	if err := goakt.Tell(context.Background(), c.pid, wakeUp); err != nil {
		c.host.abandon(c, fmt.Errorf("the actor of entity %q has stopped: %w", c.id, err))
	}
}

// run drains the queue until it stays empty. It is the actor's only work.
func (c *Cell) run() {
	for {
		requests, more := c.next()
		if more {
			c.process(requests)
			continue
		}
		if !c.lingers() && c.rest() {
			return
		}
	}
}

// next takes the whole queue. It is false when there is nothing to do.
func (c *Cell) next() (requests *entity.Request, more bool) {
	c.mu.Lock()
	requests, more = c.head, c.head != nil || c.due
	c.head, c.tail, c.length, c.due = nil, nil, 0, false
	c.mu.Unlock()
	return requests, more
}

// rest ends the actor's turn, unless there is work again.
func (c *Cell) rest() bool {
	c.mu.Lock()
	c.scheduled = c.head != nil || c.due
	resting := !c.scheduled
	evicted := c.evicting && c.tryCloseLocked()
	c.mu.Unlock()
	if evicted {
		c.host.release(c)
	}
	if resting {
		c.host.rested()
	}
	return resting
}

// process hands requests to the core and comes back later for what it leaves waiting.
func (c *Cell) process(requests *entity.Request) {
	defer c.recover()
	wait := c.core.Process(c.host.ctx, requests)
	if c.core.Stopped() {
		c.letGo()
	}
	if wait > 0 && c.host.stopping.Load() {
		c.core.Flush(c.host.ctx)
		wait = 0
	}
	if wait <= 0 && !c.holding {
		return
	}
	c.mu.Lock()
	c.holding = wait > 0
	c.mu.Unlock()
	switch {
	case wait <= 0:
	case c.tick == nil:
		c.tick = time.AfterFunc(wait, c.lookAfter)
	default:
		c.tick.Reset(wait)
	}
}

// recover answers for a panic of our own; the panics of handlers never come this far.
func (c *Cell) recover() {
	if value := recover(); value != nil {
		kind, _ := c.Live()
		c.host.config.Logger.Error("internal panic", "entity", c.id, "kind", kind, "panic", value, "stack", string(debug.Stack()))
		c.core.Abort(fmt.Errorf("%w: internal panic: %v", entity.ErrOutcomeUnknown, value))
	}
}

// tryClose closes the cell when nothing is in it and its actor is at rest.
func (c *Cell) tryClose() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tryCloseLocked()
}

func (c *Cell) tryCloseLocked() bool {
	if c.closed || c.scheduled || c.holding || c.head != nil {
		return false
	}
	c.closed = true
	return true
}

// letGo closes the cell at the end of the actor's turn.
func (c *Cell) letGo() {
	c.mu.Lock()
	c.evicting = true
	c.mu.Unlock()
}

// evict closes the cell as soon as it is at rest. It is true when that is now.
func (c *Cell) evict() bool {
	c.mu.Lock()
	c.evicting = true
	closed := c.tryCloseLocked()
	parked := c.linger.parked
	c.linger.parked = false
	c.mu.Unlock()
	if parked {
		c.linger.resume <- false
	}
	return closed
}

// tryPassivate closes the cell when no request came for as long as passivation takes. The sweeper calls it over and over
// with the time.
func (c *Cell) tryPassivate(now time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.touched || c.scheduled || c.holding {
		c.touched, c.restedAt = false, now
		return false
	}
	return c.idle > 0 && now-c.restedAt >= c.idle && c.tryCloseLocked()
}

// forceClose closes the cell whatever is in it and returns its queue.
func (c *Cell) forceClose() *entity.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	requests := c.head
	c.head, c.tail, c.length = nil, nil, 0
	return requests
}
