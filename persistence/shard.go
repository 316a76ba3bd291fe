package persistence

// DefaultShards is the shard count of a store that is created without saying another.
const DefaultShards = 16

// MaxShards is the highest shard count that a store accepts.
const MaxShards = 4096

// ShardOf returns the shard of an entity among the given number of shards. It is fixed for ever: FNV-1a over 64 bits of
// the bytes of the id, finished by the 64-bit mixer of MurmurHash3 so that ids that differ only in their last characters
// spread evenly, modulo the count. A count of zero is taken as one.
//
// See http://www.isthe.com/chongo/tech/comp/fnv/ and https://github.com/aappleby/smhasher.
func ShardOf(persistenceID string, shards uint32) uint32 {
	if shards <= 1 {
		return 0
	}
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(persistenceID) {
		h ^= uint64(persistenceID[i])
		h *= prime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return uint32(h % uint64(shards)) //nolint:gosec // smaller than shards
}
