package journal

import (
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// writeInline writes a single append in the goroutine of its appender, which is the writer meanwhile.
func (j *Journal) writeInline(events []*egopb.Event, bytes int, started time.Duration) (err error) {
	err = errExited // stays when the store ends this goroutine
	defer func() { err = j.endInline(err) }()
	err = j.write(events, 1, bytes, started)
	return err
}

// endInline ends the write of an appender, hands over to the background writer what has gathered meanwhile, and returns
// the answer.
func (j *Journal) endInline(err error) error {
	outcome := outcomeOf(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flight.end()
	j.record(outcome, err)
	if j.gathered.appends > 0 {
		j.goroutines.Go(j.run)
	} else {
		j.idle()
	}
	return outcome.answer(err)
}

// run is the background writer.
func (j *Journal) run() {
	ended := false
	defer func() {
		if !ended { // the store ended this goroutine
			j.goroutines.Go(j.run)
		}
	}()
	for j.take() {
		j.writeBatch()
		j.yield()
	}
	ended = true
}

// yield lets the appenders that were just answered come back before the next batch is made. Without it, those of one batch
// miss the next, and two batches of half the size take turns. Yielding to what is runnable is no wait: it costs well under
// a microsecond where nothing is, and goes on only while it makes appends gather. On a file that is synced by every write,
// 64 appenders filled writes with 32 events without it and with 58 to 60 with it (BenchmarkAppend/store=synced).
func (j *Journal) yield() {
	const rounds = 4
	before := 0
	for range rounds {
		runtime.Gosched()
		now := j.pending()
		if now <= before {
			return
		}
		before = now
	}
}

func (j *Journal) pending() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gathered.appends
}

// take makes a batch of what has gathered. When there is nothing, the writer has ended.
func (j *Journal) take() bool {
	now := j.clock.now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.gathered.appends == 0 {
		j.batch.most, j.batch.suspects = 0, 0
		j.idle()
		return false
	}
	j.batch.fill(&j.gathered, j.config.MaxEvents, j.config.MaxBytes)
	j.batch.started = now
	j.admit()
	j.flight.begin(now, j.batch.tickets)
	return true
}

// writeBatch writes the batch and answers its appends, but for those to be written again.
func (j *Journal) writeBatch() {
	err := errExited // stays when the store ends this goroutine
	defer func() {
		j.settle(err)
		j.batch.reset()
	}()
	b := &j.batch
	err = j.write(b.events(), len(b.tickets), b.bytes, b.started)
}

// settle decides what the end of a write means for its appends.
func (j *Journal) settle(err error) {
	outcome := outcomeOf(err)
	answer := outcome.answer(err)
	for _, t := range j.land(outcome, err) {
		t.done <- answer
	}
}

// land ends the flight of the batch and returns the appends to answer. There are none when the write was stuck: the
// watchdog has answered them.
func (j *Journal) land(outcome Outcome, err error) []*ticket {
	j.mu.Lock()
	defer j.mu.Unlock()
	wasStuck := j.flight.end()
	j.record(outcome, err)
	if wasStuck {
		return nil
	}
	answered, again := j.batch.end(outcome, err, j.config.MaxEvents)
	j.requeue(again)
	return answered
}

// requeue puts appends back at the head of the gathered ones, in order, or withdraws them. The lock is held.
func (j *Journal) requeue(tickets []*ticket) {
	for _, t := range slices.Backward(tickets) {
		if t.canceled {
			t.done <- errWithdrawn
		} else {
			j.gathered.pushFront(t)
		}
	}
}

// write calls the store and then the hooks.
func (j *Journal) write(events []*egopb.Event, appends, bytes int, started time.Duration) error {
	err := j.callStore(events, started)
	duration := time.Duration(0)
	if j.config.Observe != nil || j.direct.samples(started) {
		duration = j.clock.now() - started
		j.direct.observe(duration, appends)
	}
	if j.config.Observe != nil {
		j.config.Observe(Write{
			Appends: appends, Events: len(events), Bytes: bytes,
			Duration: duration, Outcome: outcomeOf(err), Err: err,
		})
	}
	if err == nil && j.config.OnCommit != nil {
		j.config.OnCommit(events)
	}
	return err
}

// callStore calls the store with a context of its own and turns a panic into an error.
func (j *Journal) callStore(events []*egopb.Event, started time.Duration) (err error) {
	ctx := &writeContext{clock: &j.clock, deadline: started + j.config.WriteTimeout}
	defer func() {
		ctx.end()
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return j.config.Store.WriteEvents(ctx, events)
}
