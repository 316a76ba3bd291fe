package teller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Load is a number of random transfers.
type Load struct {
	Accounts, Transfers, Senders int
	Run                          string // tells the transfers of this run from those of others
	Seed                         uint64

	done atomic.Int64
}

// Done returns how many transfers are finished.
func (l *Load) Done() int64 { return l.done.Load() }

// A Result says how a load went.
type Result struct {
	Moved, Refused int
	Elapsed        time.Duration
	Latencies      []time.Duration // of the transfers, in order
}

// Percentile returns the latency that the given share of the transfers did not exceed.
func (r *Result) Percentile(share float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(share*float64(len(r.Latencies))), len(r.Latencies)-1)]
}

// Work runs the load.
func (b *Bank) Work(ctx context.Context, load *Load) (*Result, error) {
	result := &Result{Latencies: make([]time.Duration, 0, load.Transfers)}
	var mu sync.Mutex
	start := time.Now()
	err := each(load.Transfers, load.Senders, func(i int) error {
		began := time.Now()
		moved, err := b.Transfer(ctx, load.transfer(i))
		if err != nil {
			return err
		}
		load.done.Add(1)
		mu.Lock()
		defer mu.Unlock()
		result.Latencies = append(result.Latencies, time.Since(began))
		if moved {
			result.Moved++
		} else {
			result.Refused++
		}
		return nil
	})
	result.Elapsed = time.Since(start)
	slices.Sort(result.Latencies)
	return result, err
}

// transfer returns the i-th transfer of the load.
func (l *Load) transfer(i int) Transfer {
	random := rand.New(rand.NewPCG(l.Seed, uint64(i)))
	from := random.IntN(l.Accounts)
	to := (from + 1 + random.IntN(max(l.Accounts-1, 1))) % l.Accounts
	return Transfer{
		From:   AccountID(from),
		To:     AccountID(to),
		Nonce:  fmt.Sprintf("%s-%d", l.Run, i),
		Amount: 1 + random.Int64N(100),
	}
}
