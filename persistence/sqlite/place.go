package sqlite

import (
	"math"

	"github.com/actorkeep/ego/persistence"
)

// Events and states are clustered by place, one integer that orders by shard and then by position. The shard takes 12
// bits, enough for [persistence.MaxShards]; the position takes the 51 that are left beside the sign.
const (
	positionBits = 51
	maxPosition  = 1<<positionBits - 1
)

func placeOf(shard uint32, position uint64) int64 {
	return int64(shard)<<positionBits | int64(min(position, maxPosition))
}

func shardAt(place int64) uint32    { return uint32(place >> positionBits) } //nolint:gosec // 12 bits
func positionAt(place int64) uint64 { return uint64(place & maxPosition) }

// number makes an argument of a sequence number, position or limit that may be anything: SQLite holds no integer above
// [math.MaxInt64], and nothing stored is above it either.
func number[N uint64 | int](n N) int64 {
	return int64(min(uint64(n), math.MaxInt64))
}

// checkPage returns the error for the arguments of a read of a shard.
func (c *config) checkPage(shard uint32, limit int) error {
	if shard >= c.shards {
		return invalid("shard %d of %d", shard, c.shards)
	}
	if limit < 1 {
		return invalid("limit %d is below one", limit)
	}
	return nil
}

// heads are the highest places of shards while a transaction adds to them.
type heads struct {
	query string // selects the highest place between two
	last  map[uint32]int64
}

// next returns the next free place of a shard. There is no counter: whoever holds the write lock sees the highest place,
// and deleting leaves a row there, so what is found is what was given out last.
func (h *heads) next(t *tx, shard uint32) (int64, error) {
	last, known := h.last[shard]
	if !known {
		last = placeOf(shard, 0)
		if _, err := t.queryOne(h.query, []any{placeOf(shard, 0), placeOf(shard, maxPosition)}, &last); err != nil {
			return 0, err
		}
	}
	if h.last == nil {
		h.last = make(map[uint32]int64, persistence.DefaultShards)
	}
	h.last[shard] = last + 1
	return last + 1, nil
}
