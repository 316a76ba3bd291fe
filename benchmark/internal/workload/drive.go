package workload

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Side is one of two ways to do the same.
type Side interface {
	// Sender returns what the i-th sender does over and over: an operation that tells how many units it did.
	Sender(i int) func() (units int, err error)

	Close() error
}

// A Sample is what one run of a side showed.
type Sample struct {
	Operations, Units int
	Elapsed           time.Duration
	Mallocs           uint64
	P99               time.Duration // of one operation, from every 16th
	Lost              int           // operations that failed or whose answer did not come in time
}

// PerUnit returns the nanoseconds of one unit.
func (s Sample) PerUnit() float64 { return float64(s.Elapsed.Nanoseconds()) / float64(max(s.Units, 1)) }

// Allocations returns those of one unit.
func (s Sample) Allocations() float64 { return float64(s.Mallocs) / float64(max(s.Units, 1)) }

// Measure runs a side on a clean heap.
func Measure(side Side, senders, units int) (Sample, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := Drive(side, senders, units)
	runtime.ReadMemStats(&after)
	s.Mallocs = after.Mallocs - before.Mallocs
	return s, err
}

// Drive lets senders do so many units together, or a few more where one operation does several. The error is one of those
// that operations returned.
func Drive(side Side, senders, units int) (Sample, error) {
	var (
		done, operations, lost atomic.Int64

		failed = make(chan error, 1)
		group  sync.WaitGroup
		times  = make([][]time.Duration, senders)
	)
	begin := time.Now()
	for i := range senders {
		op := side.Sender(i)
		group.Go(func() {
			n := 0
			defer func() { operations.Add(int64(n)) }()
			for ; done.Load() < int64(units); n++ {
				var started time.Time
				if n%16 == 0 {
					started = time.Now()
				}
				did, err := op()
				if n%16 == 0 {
					times[i] = append(times[i], time.Since(started))
				}
				done.Add(int64(did))
				if err != nil {
					lost.Add(1)
					select {
					case failed <- err:
					default:
					}
					return
				}
			}
		})
	}
	group.Wait()
	s := Sample{
		Operations: int(operations.Load()), Units: int(done.Load()), Elapsed: time.Since(begin),
		P99: percentile(slices.Concat(times...), 0.99), Lost: int(lost.Load()),
	}
	select {
	case err := <-failed:
		return s, fmt.Errorf("%d operations failed, one with: %w", s.Lost, err)
	default:
		return s, nil
	}
}

// percentile returns the time below which a share of the times is.
func percentile(times []time.Duration, share float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(math.Ceil(share*float64(len(times)))), len(times))-1]
}

// closeAll closes what there is and joins the errors.
func closeAll(closers ...func() error) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
