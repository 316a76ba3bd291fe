package journal

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// Gathering appends pays when a write costs more than handing an append over to another goroutine and back. Where writes
// are cheaper than cheapWrite, as in a store in memory, each appender writes for itself, beside the others.
const (
	cheapWrite  = 20 * time.Microsecond
	writeWeight = 8 // the newest write counts for one part in so many of the average
)

// direct lets appenders write beside each other while writes are cheap. It is open to as many of them as it has slots; the
// others gather as if it were closed, so a store that becomes slow or hangs holds up no more than these.
type direct struct {
	average atomic.Int64 // of the durations of writes, in nanoseconds; it may miss some
	closed  atomic.Bool
	left    chan struct{} // a token when a slot became free after closing
	slots   []slot
}

// A slot holds when its write started, zero while it is free. Slots do not share a line of the processor's cache.
type slot struct {
	started atomic.Int64
	_       [120]byte
}

func (d *direct) init() {
	d.average.Store(int64(2 * cheapWrite)) // until it is known better
	d.left = make(chan struct{}, 1)
	d.slots = make([]slot, 2*runtime.GOMAXPROCS(0))
}

// enter takes a slot. It is nil when writes are not cheap, or no slot is free, or the journal has stopped.
func (d *direct) enter(now time.Duration) *slot {
	if d.average.Load() > int64(cheapWrite) {
		return nil
	}
	for i := range d.slots {
		s := &d.slots[i]
		if s.started.Load() != 0 || !s.started.CompareAndSwap(0, max(int64(now), 1)) {
			continue
		}
		if d.closed.Load() {
			d.leave(s)
			return nil
		}
		return s
	}
	return nil
}

// leave gives a slot back.
func (d *direct) leave(s *slot) {
	s.started.Store(0)
	if d.closed.Load() {
		d.tell()
	}
}

// samples reports whether the duration of a write is to be observed. While writes are cheap, reading the clock for each
// would be a part of their cost that one notices.
func (d *direct) samples(started time.Duration) bool {
	return d.average.Load() > int64(cheapWrite) || started>>4&3 == 0
}

// observe takes the duration of a write into the average. That of a batch says what a single write costs only when even
// the batch was cheap. One write that was held up by something else does not count for more than it must.
func (d *direct) observe(duration time.Duration, appends int) {
	if appends > 1 && duration > cheapWrite {
		return
	}
	duration = min(duration, writeWeight*cheapWrite)
	average := d.average.Load()
	if next := average + (int64(duration)-average)/writeWeight; next != average {
		d.average.Store(next)
	}
}

// close lets no more appenders in.
func (d *direct) close() { d.closed.Store(true) }

// wait returns once all slots are free, after close.
func (d *direct) wait(ctx context.Context) error {
	for d.oldest() != 0 {
		select {
		case <-d.left:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.tell() // the others who wait
	return nil
}

func (d *direct) tell() {
	select {
	case d.left <- struct{}{}:
	default:
	}
}

// oldest returns when the oldest of the writes under way started, zero when there is none.
func (d *direct) oldest() (started time.Duration) {
	for i := range d.slots {
		if s := time.Duration(d.slots[i].started.Load()); s != 0 && (started == 0 || s < started) {
			started = s
		}
	}
	return started
}

// writeDirect writes a single append beside others, in the goroutine of its appender.
func (j *Journal) writeDirect(s *slot, events []*egopb.Event, bytes int, started time.Duration) (err error) {
	err = errExited // stays when the store ends this goroutine
	defer func() {
		j.direct.leave(s)
		outcome := outcomeOf(err)
		j.recordDirect(outcome, err)
		err = outcome.answer(err)
	}()
	err = j.write(events, 1, bytes, started)
	return err
}

// recordDirect takes the outcome of a write into the status. The lock is needed only when that changes.
func (j *Journal) recordDirect(outcome Outcome, err error) {
	if outcome == Committed && !j.troubled.Load() {
		return
	}
	j.mu.Lock()
	j.record(outcome, err)
	j.mu.Unlock()
}
