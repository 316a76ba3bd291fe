package consumer

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/actorkeep/ego/offsetstore"
)

// renewAtOnce bounds how many leases one call renews.
const renewAtOnce = 1000

// A hold is a lease that this process has, and believes to have for as long as its context lasts.
type hold struct {
	lease  offsetstore.Lease
	ctx    context.Context //nolint:containedctx // the lifetime of the lease, which everything done under it shares
	cancel context.CancelCauseFunc
	expiry *time.Timer
}

// drop ends the hold in this process; the store may still have the lease.
func (h *hold) drop(cause error) {
	h.expiry.Stop()
	h.cancel(cause)
}

// A keeper renews the leases of all consumers of the process, in a goroutine of its own, so that no handler can make one
// run out. A lease that cannot be renewed in time ends by a timer, whatever the store or the keeper is busy with.
type keeper struct {
	config *Config

	mu    sync.Mutex
	holds map[*hold]struct{}
}

func newKeeper(config *Config) *keeper {
	return &keeper{config: config, holds: make(map[*hold]struct{})}
}

// acquire tries to lease shards of a consumer for an owner. None of them may be held by this process. When the outcome is
// unknown, the store may have leases that nobody holds: they are found by their owner, and acquired again.
func (k *keeper) acquire(ctx context.Context, consumer, owner string, shards ...uint32) ([]*hold, error) {
	asked := time.Now()
	var leases []offsetstore.Lease
	err := k.config.call(ctx, func(ctx context.Context) (err error) {
		leases, err = k.config.Offsets.AcquireLeases(ctx, consumer, owner, shards, k.config.leaseTTL())
		return err
	})
	if err != nil {
		return nil, err
	}
	holds := make([]*hold, len(leases))
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, lease := range leases {
		holds[i] = newHold(lease, k.left(asked))
		k.holds[holds[i]] = struct{}{}
	}
	return holds, nil
}

func newHold(lease offsetstore.Lease, left time.Duration) *hold {
	h := &hold{lease: lease}
	h.ctx, h.cancel = context.WithCancelCause(context.Background())
	h.expiry = time.AfterFunc(left, func() { h.cancel(errLost) })
	return h
}

// left is how long a lease lasts that was asked for at a moment. It is counted from before the store was called, so it ends
// here before it ends there.
func (k *keeper) left(asked time.Time) time.Duration {
	return time.Until(asked.Add(k.config.leaseTTL()))
}

// forget stops renewing holds, without giving their leases back.
func (k *keeper) forget(cause error, holds ...*hold) {
	k.mu.Lock()
	for _, h := range holds {
		delete(k.holds, h)
	}
	k.mu.Unlock()
	for _, h := range holds {
		h.drop(cause)
	}
}

// release gives the leases of holds back, so that others need not wait until they run out.
func (k *keeper) release(holds ...*hold) {
	if len(holds) == 0 {
		return
	}
	leases := make([]offsetstore.Lease, len(holds))
	for i, h := range holds {
		leases[i] = h.lease
	}
	k.forget(errDrained, holds...)
	err := k.config.call(context.Background(), func(ctx context.Context) error {
		return k.config.Offsets.ReleaseLeases(ctx, leases)
	})
	if err != nil {
		k.config.Logger.Warn("leases were not given back and run out instead", "consumer", leases[0].Consumer, "error", err)
	}
}

// run renews until the context ends.
func (k *keeper) run(ctx context.Context) {
	wait := k.config.renewEvery()
	for sleep(ctx, wait, nil) == nil {
		wait = k.config.renewEvery()
		if err := k.renew(ctx); err != nil {
			k.config.Logger.Warn("leases cannot be renewed", "error", err)
			wait = k.config.searchEvery()
		}
	}
}

// renew renews all leases that are held.
func (k *keeper) renew(ctx context.Context) error {
	for chunk := range slices.Chunk(k.held(), renewAtOnce) {
		if err := k.renewChunk(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// held returns the holds that have not ended.
func (k *keeper) held() []*hold {
	k.mu.Lock()
	defer k.mu.Unlock()
	held := make([]*hold, 0, len(k.holds))
	for h := range k.holds {
		if h.ctx.Err() != nil {
			delete(k.holds, h)
			continue
		}
		held = append(held, h)
	}
	return held
}

func (k *keeper) renewChunk(ctx context.Context, holds []*hold) error {
	leases := make([]offsetstore.Lease, len(holds))
	for i, h := range holds {
		leases[i] = h.lease
	}
	asked := time.Now()
	var renewed []offsetstore.Lease
	err := k.config.call(ctx, func(ctx context.Context) (err error) {
		renewed, err = k.config.Offsets.RenewLeases(ctx, leases, k.config.leaseTTL())
		return err
	})
	if err != nil {
		return err
	}
	type name struct {
		consumer string
		shard    uint32
		epoch    uint64
	}
	still := make(map[name]bool, len(renewed))
	for _, lease := range renewed {
		still[name{lease.Consumer, lease.Shard, lease.Epoch}] = true
	}
	for _, h := range holds {
		if still[name{h.lease.Consumer, h.lease.Shard, h.lease.Epoch}] {
			h.extend(k.left(asked))
		} else {
			k.forget(h.stale(), h)
		}
	}
	return nil
}

// extend lets the hold last for another while, unless it has ended.
func (h *hold) extend(left time.Duration) {
	if left > 0 && h.expiry.Stop() {
		h.expiry.Reset(left)
	}
}

// stale is the error of a lease that the store no longer knows as ours.
func (h *hold) stale() error {
	return &offsetstore.StaleLeaseError{Consumer: h.lease.Consumer, Shard: h.lease.Shard, Epoch: h.lease.Epoch}
}
