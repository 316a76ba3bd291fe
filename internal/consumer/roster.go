package consumer

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/actorkeep/ego/offsetstore"
)

// rosterName is the consumer under which processes lease a seat for each consumer that they run. Its leases tell, in one
// question for all consumers, who shares the shards of which.
const rosterName = "ego.roster"

// A roster knows who runs which consumer.
type roster struct {
	config *Config
	keeper *keeper

	mu      sync.Mutex
	members map[string][]string // owners by consumer, sorted
	failed  error
}

// seatOwner is the owner of the seat of a consumer.
func seatOwner(owner, consumer string) string { return owner + "|" + consumer }

// join takes a seat for a consumer of this process: the lowest that is free.
func (r *roster) join(ctx context.Context, consumer string) (*hold, error) {
	for {
		leases, err := r.seats(ctx)
		if err != nil {
			return nil, err
		}
		holds, err := r.keeper.acquire(ctx, rosterName, seatOwner(r.config.Owner, consumer), freeSeat(leases))
		if err != nil {
			return nil, err
		}
		if len(holds) == 1 {
			return holds[0], nil
		}
	}
}

func freeSeat(leases []offsetstore.Lease) uint32 {
	seat := uint32(0)
	for _, lease := range leases { // in order
		if lease.Shard > seat || !taken(lease) {
			break
		}
		seat = lease.Shard + 1
	}
	return seat
}

func taken(lease offsetstore.Lease) bool { return lease.Owner != "" && lease.Expires > 0 }

func (r *roster) seats(ctx context.Context) (leases []offsetstore.Lease, err error) {
	err = r.config.call(ctx, func(ctx context.Context) error {
		leases, err = r.config.Offsets.Leases(ctx, rosterName)
		return err
	})
	return leases, err
}

// refresh asks the store and returns the consumers whose members have changed.
func (r *roster) refresh(ctx context.Context) (changed []string, err error) {
	leases, err := r.seats(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err
	if err != nil {
		return nil, err
	}
	members := make(map[string][]string)
	for _, lease := range leases {
		if owner, consumer, ok := strings.Cut(lease.Owner, "|"); ok && taken(lease) {
			members[consumer] = append(members[consumer], owner)
		}
	}
	for consumer, owners := range members {
		slices.Sort(owners)
		members[consumer] = slices.Compact(owners)
		if !slices.Equal(members[consumer], r.members[consumer]) {
			changed = append(changed, consumer)
		}
	}
	r.members = members
	return changed, nil
}

// target returns how many of the shards of a consumer belong to this process, so that the targets of all members add up to
// all shards.
func (r *roster) target(consumer string, shards uint32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	members := r.members[consumer]
	place, known := slices.BinarySearch(members, r.config.Owner)
	count := len(members)
	if !known {
		count++
	}
	target := int(shards) / count
	if place < int(shards)%count {
		target++
	}
	return target
}

func (r *roster) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
