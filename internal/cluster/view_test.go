package cluster

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func membersAt(hosts ...string) []Member {
	members := make([]Member, len(hosts))
	for i, host := range hosts {
		members[i] = Member{ID: ID{Host: host, Port: 7000, Epoch: "e"}}
	}
	return members
}

func hosts(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("10.0.0.%d", i+1)
	}
	return names
}

func TestView(t *testing.T) {
	t.Parallel()

	t.Run("PlacementIsFixedForEver", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, uint64(0x8e8edad4678f0822), rendezvous(hashOf("10.0.0.1:7000"), 0))
		require.Equal(t, uint64(0x20610a06814190f8), rendezvous(hashOf("10.0.0.1:7000"), 300))
		v := newView(ID{}, membersAt(hosts(3)...), 16, "")
		require.Equal(t, []int{0, 0, 1, 0, 2, 1, 2, 2, 2, 2, 2, 1, 1, 2, 2, 2}, v.owners)
	})
	t.Run("OrderOfMembersDoesNotMatter", func(t *testing.T) {
		t.Parallel()
		a := newView(ID{}, membersAt("a", "b", "c"), 64, "")
		b := newView(ID{}, membersAt("c", "a", "b"), 64, "")
		require.True(t, a.equal(b))
		require.Equal(t, a.owners, b.owners)
	})
	t.Run("ChangeMovesOnlyItsShare", func(t *testing.T) {
		t.Parallel()
		for n := range 9 {
			before := newView(ID{}, membersAt(hosts(n+1)...), 4096, "")
			after := newView(ID{}, membersAt(hosts(n+2)...), 4096, "")
			moved := 0
			for shard := range before.Shards() {
				from, _ := before.OwnerOfShard(shard)
				to, _ := after.OwnerOfShard(shard)
				if from == to {
					continue
				}
				moved++
				require.Equal(t, hosts(n + 2)[n+1], to.Host, "a shard moved between members that stayed")
			}
			require.InDelta(t, 4096/(n+2), moved, 0.2*4096/float64(n+2), "the newcomer's share")
		}
	})
	t.Run("RestartedNodeOwnsTheSame", func(t *testing.T) {
		t.Parallel()
		members := membersAt("a", "b", "c")
		before := newView(ID{}, members, 64, "")
		members[1].Epoch = "f"
		require.Equal(t, before.owners, newView(ID{}, members, 64, "").owners)
	})
	t.Run("OnlyTheRoleOwns", func(t *testing.T) {
		t.Parallel()
		members := membersAt("a", "b", "c")
		members[1].Roles = []string{"front", "entities"}
		v := newView(ID{}, members, 64, "entities")
		for shard := range v.Shards() {
			owner, ok := v.OwnerOfShard(shard)
			require.True(t, ok)
			require.Equal(t, "b", owner.Host)
		}
		_, ok := newView(ID{}, members, 64, "nobody's").Owner("x")
		require.False(t, ok)
		_, ok = v.OwnerOfShard(64)
		require.False(t, ok)
		_, ok = newView(ID{}, nil, 0, "").Owner("x")
		require.False(t, ok)
	})
}

// A node places all shards at each look at the members, once a second.
func BenchmarkPlacement(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		b.Run(fmt.Sprintf("shards=4096/members=%d", n), func(b *testing.B) {
			members := membersAt(hosts(n)...)
			b.ReportAllocs()
			for b.Loop() {
				newView(ID{}, members, 4096, "")
			}
		})
	}
}
