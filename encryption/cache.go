package encryption

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
)

const cacheShards = 32

// keyring is what was read of an entity's keys at one moment. It is never modified.
type keyring struct {
	persistenceID string
	expires       time.Time
	life          Life
	keys          []*dataKey // by version; the destroyed ones are in it without a secret
}

// newKeyring returns the keyring of what was read. It takes over what is unchanged of an older one, so that keys need not
// be unwrapped anew.
func newKeyring(persistenceID string, stored []*egopb.DataKey, life Life, expires time.Time, older *keyring) *keyring {
	ring := &keyring{persistenceID: persistenceID, expires: expires, life: life, keys: make([]*dataKey, len(stored))}
	for i, key := range stored {
		if known := older.find(key.GetKeyId()); known != nil && known.same(key) {
			ring.keys[i] = known
			continue
		}
		ring.keys[i] = &dataKey{stored: key}
	}
	return ring
}

// newest returns the key that seals, nil when there is none.
func (r *keyring) newest() *dataKey {
	if n := len(r.keys); n > 0 && !r.keys[n-1].stored.GetDestroyed() {
		return r.keys[n-1]
	}
	return nil
}

// next returns the version of the next key.
func (r *keyring) next() uint64 {
	if n := len(r.keys); n > 0 {
		return r.keys[n-1].stored.GetVersion() + 1
	}
	return 1
}

// find returns the key with an id, nil when there is none.
func (r *keyring) find(keyID string) *dataKey {
	if r == nil {
		return nil
	}
	for _, key := range slices.Backward(r.keys) {
		if key.stored.GetKeyId() == keyID {
			return key
		}
	}
	return nil
}

// keyCache keeps the keyrings that were used last, in shards with a lock each. A keyring that has expired stays until its
// place is needed, but is not used.
type keyCache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.Mutex
	size    int
	slots   map[string]*cacheSlot
	ring    cacheSlot // the sentinel of a list, the slot used last first
	changes uint64    // counts what was forgotten on purpose
}

type cacheSlot struct {
	keyring    *keyring
	prev, next *cacheSlot
}

func newKeyCache(size int) *keyCache {
	c := &keyCache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.size = max(1, size/cacheShards)
		s.slots = make(map[string]*cacheSlot)
		s.ring.prev, s.ring.next = &s.ring, &s.ring
	}
	return c
}

func (c *keyCache) shard(persistenceID string) *cacheShard {
	return &c.shards[maphash.String(c.seed, persistenceID)%cacheShards]
}

// get returns the keyring of an entity, expired or not, and what put wants back.
func (c *keyCache) get(persistenceID string) (ring *keyring, changes uint64) {
	s := c.shard(persistenceID)
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.slots[persistenceID]
	if slot == nil {
		return nil, s.changes
	}
	slot.unlink()
	slot.linkAfter(&s.ring)
	return slot.keyring, s.changes
}

// put keeps a keyring, unless something was forgotten since changes was returned: what was read might be from before.
func (c *keyCache) put(ring *keyring, changes uint64) {
	s := c.shard(ring.persistenceID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != changes {
		return
	}
	if slot := s.slots[ring.persistenceID]; slot != nil {
		slot.keyring = ring
		return
	}
	if len(s.slots) >= s.size {
		last := s.ring.prev
		last.unlink()
		delete(s.slots, last.keyring.persistenceID)
	}
	slot := &cacheSlot{keyring: ring}
	slot.linkAfter(&s.ring)
	s.slots[ring.persistenceID] = slot
}

// forget drops the keyring of an entity, and those that are being read.
func (c *keyCache) forget(persistenceID string) {
	s := c.shard(persistenceID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if slot := s.slots[persistenceID]; slot != nil {
		slot.unlink()
		delete(s.slots, persistenceID)
	}
}

func (l *cacheSlot) unlink() { l.prev.next, l.next.prev = l.next, l.prev }

func (l *cacheSlot) linkAfter(other *cacheSlot) {
	l.prev, l.next = other, other.next
	other.next.prev, other.next = l, l
}
