package journal

import "time"

// A flight is the write that is with the store. Journal.mu guards it.
type flight struct {
	active  bool
	started time.Duration
	tickets []*ticket // the appends that wait for it; none when an appender writes
	stuck   bool      // given up by the watchdog, which has answered the tickets
}

func (f *flight) begin(now time.Duration, tickets []*ticket) {
	*f = flight{active: true, started: now, tickets: tickets}
}

func (f *flight) end() (wasStuck bool) {
	wasStuck = f.stuck
	*f = flight{}
	return wasStuck
}

// patience is how long a write may take before it is taken for stuck.
func (j *Journal) patience() time.Duration { return j.config.WriteTimeout + stuckGrace }

// armWatchdog sees to it that the write in flight is looked at when its time is over. The watchdog stays armed as long as
// there is a writer, and is set anew only when it fires, which costs nothing per write. The lock is held.
func (j *Journal) armWatchdog(now time.Duration) {
	if j.watchdog != nil {
		return
	}
	wait := j.patience()
	if j.flight.active {
		wait -= now - j.flight.started
	}
	j.goroutines.Add(1)
	j.watchdog = time.AfterFunc(wait, j.watch)
}

// disarmWatchdog prevents the watchdog from firing, if it has not yet. The lock is held.
func (j *Journal) disarmWatchdog() {
	if j.watchdog != nil && j.watchdog.Stop() {
		j.watchdog = nil
		j.goroutines.Done()
	}
}

// watch is run by the watchdog's timer.
func (j *Journal) watch() {
	defer j.goroutines.Done()
	now := j.clock.now()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchdog = nil
	switch {
	case !j.busy:
	case j.flight.active && now-j.flight.started >= j.patience():
		j.giveUp()
	default:
		j.armWatchdog(now)
	}
}

// giveUp declares the write in flight stuck and answers everyone but the one who performs it. The lock is held.
func (j *Journal) giveUp() {
	for _, t := range j.flight.tickets {
		t.done <- errStuckWriting
	}
	j.flight.tickets, j.flight.stuck = nil, true
	j.gathered.answerAll(errStuckWaiting)
	j.waiting.answerAll(errStuckWaiting)
}
