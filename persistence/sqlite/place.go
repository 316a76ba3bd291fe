package sqlite

import (
	"database/sql"
	"maps"
	"math"
	"slices"

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

const (
	maxEventPlace = `(SELECT max(place) FROM ego_events WHERE place BETWEEN ? AND ?)`
	maxStatePlace = `(SELECT max(place) FROM ego_states WHERE place BETWEEN ? AND ?)`

	fourEventPlaces = maxEventPlace + `, ` + maxEventPlace + `, ` + maxEventPlace + `, ` + maxEventPlace

	selectLastPlace      = `SELECT ` + maxEventPlace
	selectLastStatePlace = `SELECT ` + maxStatePlace

	// One statement asks for as many shards as most stores have.
	selectLastPlaces = `SELECT ` + fourEventPlaces + `, ` + fourEventPlaces + `, ` + fourEventPlaces + `, ` + fourEventPlaces
	placesAtOnce     = 16
)

// nextPlace returns the free place after the highest of a shard. There is no counter: whoever holds the write lock sees
// the highest place, and deleting leaves a row there, so what is found is what was given out last.
func nextPlace(t *tx, query string, shard uint32) (int64, error) {
	var last sql.NullInt64
	if _, err := t.queryOne(query, []any{placeOf(shard, 0), placeOf(shard, maxPosition)}, &last); err != nil {
		return 0, err
	}
	return max(last.Int64, placeOf(shard, 0)) + 1, nil
}

// heads are the next free places of shards while a transaction adds events to them.
type heads map[uint32]int64

// loadHeads looks up the shards of a batch.
func loadHeads(t *tx, runs []persistence.Run, shards uint32) (heads, error) {
	h := make(heads, min(int(shards), len(runs)))
	for _, run := range runs {
		h[persistence.ShardOf(run.PersistenceID, shards)] = 0
	}
	wanted := slices.Collect(maps.Keys(h))
	if len(wanted) == 1 {
		place, err := nextPlace(t, selectLastPlace, wanted[0])
		return heads{wanted[0]: place}, err
	}
	for some := range slices.Chunk(wanted, placesAtOnce) {
		if err := h.loadSome(t, some); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// loadSome looks up as many shards as one statement takes.
func (h heads) loadSome(t *tx, shards []uint32) error {
	var (
		last [placesAtOnce]sql.NullInt64
		args [2 * placesAtOnce]any // NULL where there is no shard left, between which there is no place
		dest [placesAtOnce]any
	)
	for i := range last {
		dest[i] = &last[i]
	}
	for i, shard := range shards {
		args[2*i], args[2*i+1] = placeOf(shard, 0), placeOf(shard, maxPosition)
	}
	if _, err := t.queryOne(selectLastPlaces, args[:], dest[:]...); err != nil {
		return err
	}
	for i, shard := range shards {
		h[shard] = max(last[i].Int64, placeOf(shard, 0)) + 1
	}
	return nil
}

// take returns the next free place of a shard.
func (h heads) take(shard uint32) int64 {
	place := h[shard]
	h[shard]++
	return place
}
