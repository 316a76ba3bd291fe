package entity

import (
	"runtime"
	"sync/atomic"
)

// A Spin waits a moment for something that is likely to happen within microseconds, by yielding the processor a few
// times, before the caller parks its goroutine: parking and waking cost more than a command. It learns: while it waits in
// vain it is tried only now and then. The zero value is ready.
type Spin struct {
	vain atomic.Int32 // spins in vain since the last that paid
}

const (
	spinRounds = 12 // yields of one spin
	spinRetry  = 32 // a spin that does not pay is tried once in so many times
)

// Until yields until done is true or it is not worth waiting longer, and returns what done said last.
func (s *Spin) Until(done func() bool) bool {
	if vain := s.vain.Load(); vain > 1 {
		s.vain.Add(1)
		if vain%spinRetry != 0 {
			return done()
		}
	}
	for range spinRounds {
		if done() {
			s.vain.Store(0)
			return true
		}
		runtime.Gosched()
	}
	s.vain.Add(1)
	return done()
}
