package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A list of peers may keep one that is dead for long. What a node finds out by itself goes before it.
func TestAbsence(t *testing.T) { // G12
	t.Parallel()

	t.Run("DeadPeerStaysOutHoweverLongItIsListed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			id := nodes[0].owned("b")
			dead := nodes[1].Status().Self
			w.set(func() { w.ghosts = []Member{{ID: dead}} })
			w.kill(dead)
			nodes[1].stop() // it is not to join again
			for begun := time.Now(); time.Since(begun) < time.Minute; {
				_, err := nodes[0].ask(within(t, 2*pollInterval), id, false)
				require.NoError(t, err, "%v after the death", time.Since(begun))
				pass(500 * time.Millisecond)
				require.Equal(t, 2, nodes[0].Status().Live, "%v after the death", time.Since(begun))
			}
		})
	})
	t.Run("PeerThatIsHeardOfNoMoreIsLeftOut", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			id := nodes[0].owned("b")
			w.set(func() { w.mute["b"] = true })
			pass(silentFor - time.Second)
			require.Equal(t, 3, nodes[0].Status().Live, "it may be a moment's hitch")
			pass(2 * time.Second)
			require.Equal(t, 2, nodes[0].Status().Live)
			local, err := nodes[0].ask(within(t, time.Second), id, false)
			require.NoError(t, err)
			require.Equal(t, nodes[0].Owns(id), local)
			w.set(func() { w.mute["b"] = false })
			pass(30 * time.Second)
			for _, n := range nodes {
				require.Equal(t, 3, n.Status().Live)
				require.Equal(t, Serving, n.Status().State)
			}
		})
	})
	t.Run("PeerIsBackAsSoonAsItListens", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, nodes := three(t)
			nodes[0].membership.Load().gone(nodes[1].Status().Self)
			synctest.Wait()
			pass(2 * pollInterval)
			require.Equal(t, 3, nodes[0].Status().Live)
		})
	})
	t.Run("TimeOfOwnSuspensionIsNobodysSilence", func(t *testing.T) {
		t.Parallel()
		m := newMembership(new(Node))
		peer := Member{ID: ID{Host: "b", Port: 1, Epoch: "x"}}
		now := time.Now()
		require.Len(t, m.members(now, []Member{peer}), 2)
		require.Len(t, m.members(now.Add(time.Hour), []Member{peer}), 2)
		m.cancel()
	})
	t.Run("ConnectionsToWhatIsNoLongerListedAreClosed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			id := nodes[1].Status().Self
			require.NoError(t, nodes[1].Stop(t.Context()))
			pass(2 * pollInterval)
			w.set(func() { require.Equal(t, map[ID]int{id: 2}, w.forgotten, "by each of the others, once") })
		})
	})
	t.Run("RunThatWasReplacedIsForgotten", func(t *testing.T) {
		t.Parallel()
		m := newMembership(new(Node))
		first, second := Member{ID: ID{Host: "b", Port: 1, Epoch: "x"}}, Member{ID: ID{Host: "b", Port: 1, Epoch: "y"}}
		now := time.Now()
		m.members(now, []Member{first})
		m.members(now.Add(replacedFor), []Member{second})
		require.Contains(t, m.peers, first.ID, "batches of it may still arrive")
		m.members(now.Add(replacedFor+time.Second), []Member{second})
		require.NotContains(t, m.peers, first.ID)
		m.members(now.Add(2*replacedFor+2*time.Second), nil)
		require.Contains(t, m.peers, second.ID, "nobody has replaced it")
		m.cancel()
	})
}

// within returns a context that ends after a while.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
