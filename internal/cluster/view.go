package cluster

import (
	"slices"

	"github.com/actorkeep/ego/persistence"
)

// A View is a set of live members and what each of them owns. It never changes.
type View struct {
	Self    ID
	Members []Member // in the order of their addresses, this node included
	owners  []int    // by shard: an index of Members, or none
}

const none = -1

// newView places the shards on the members that have the role; an empty role is everybody's.
func newView(self ID, members []Member, shards uint32, role string) *View {
	v := &View{Self: self, Members: slices.Clone(members), owners: make([]int, max(shards, 1))}
	slices.SortFunc(v.Members, func(a, b Member) int { return compareIDs(a.ID, b.ID) })
	v.place(role)
	return v
}

// place gives every shard to the member that wins its rendezvous.
//
// See Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
func (v *View) place(role string) {
	names := make([]uint64, len(v.Members))
	for i := range v.Members {
		names[i] = hashOf(v.Members[i].Address())
	}
	for shard := range v.owners {
		winner, best := none, uint64(0)
		for i := range v.Members {
			if role != "" && !slices.Contains(v.Members[i].Roles, role) {
				continue
			}
			if score := rendezvous(names[i], uint64(shard)); winner == none || score > best {
				winner, best = i, score
			}
		}
		v.owners[shard] = winner
	}
}

const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211

// hashOf is the FNV-1a hash of an address over 64 bits.
func hashOf(address string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(address) {
		h = (h ^ uint64(address[i])) * fnvPrime
	}
	return h
}

// rendezvous is the score of a member, by the hash of its address, for a shard. Nodes of all versions must compute the same:
// the hash goes on over the bytes of the shard, lowest first, finished by the 64-bit mixer of MurmurHash3.
func rendezvous(name, shard uint64) uint64 {
	h := name
	for range 8 {
		h = (h ^ shard&0xff) * fnvPrime
		shard >>= 8
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Owner returns the member that owns an entity. It is false when no member may.
func (v *View) Owner(entityID string) (ID, bool) {
	return v.OwnerOfShard(persistence.ShardOf(entityID, uint32(len(v.owners)))) //nolint:gosec // came from a uint32
}

// OwnerOfShard returns the member that owns a shard. It is false when no member may.
func (v *View) OwnerOfShard(shard uint32) (ID, bool) {
	if int(shard) >= len(v.owners) || v.owners[shard] == none {
		return ID{}, false
	}
	return v.Members[v.owners[shard]].ID, true
}

// owns reports whether this node owns an entity.
func (v *View) owns(entityID string) bool {
	owner, ok := v.Owner(entityID)
	return ok && owner == v.Self
}

// Shards counts the shards.
func (v *View) Shards() uint32 { return uint32(len(v.owners)) } //nolint:gosec // came from a uint32

// Has reports whether a run of a node is a member.
func (v *View) Has(id ID) bool {
	_, found := slices.BinarySearchFunc(v.Members, id, func(m Member, id ID) int { return compareIDs(m.ID, id) })
	return found
}

// equal reports whether two views have the same members with the same roles.
func (v *View) equal(other *View) bool {
	return v.Self == other.Self && slices.EqualFunc(v.Members, other.Members, func(a, b Member) bool {
		return a.ID == b.ID && slices.Equal(a.Roles, b.Roles)
	})
}
