package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
)

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// three joins three nodes with a quorum of two.
func three(t *testing.T, change ...func(*Config)) (*wire, []*fakeNode) {
	t.Helper()
	w := newWire()
	nodes := []*fakeNode{joinNode(t, w, "a", 2, change...), joinNode(t, w, "b", 2, change...), joinNode(t, w, "c", 2, change...)}
	pass(2 * time.Second)
	for _, n := range nodes {
		require.Equal(t, Serving, n.Status().State)
		require.Equal(t, 3, n.Status().Live)
	}
	return w, nodes
}

func TestRouting(t *testing.T) {
	t.Parallel()

	t.Run("EveryNodeReachesTheOwner", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, nodes := three(t)
			for i := range 60 {
				id := fmt.Sprint("entity-", i)
				here := 0
				for _, n := range nodes {
					local, err := n.ask(t.Context(), id, false)
					require.NoError(t, err)
					if local {
						here++
					}
				}
				require.Equal(t, 1, here, "one node owns the entity")
			}
			require.Equal(t, 120, nodes[0].count()+nodes[1].count()+nodes[2].count())
		})
	})
	t.Run("BatchesGatherWhileOneIsInFlight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			block := make(chan struct{})
			w.set(func() { w.block = block })
			id := nodes[0].owned("b")
			var calls sync.WaitGroup
			for range 50 {
				calls.Go(func() {
					_, err := nodes[0].ask(t.Context(), id, false)
					require.NoError(t, err)
				})
				synctest.Wait()
			}
			w.set(func() { w.block = nil })
			close(block)
			calls.Wait()
			var sizes []int
			for _, b := range w.sent() {
				if len(b.GetRequests()) > 0 {
					sizes = append(sizes, len(b.GetRequests()))
				}
			}
			require.Equal(t, []int{1, 49}, sizes)
		})
	})
	t.Run("BatchInDoubtIsHandledOnce", func(t *testing.T) { // G8
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			w.set(func() { w.lose = 3 })
			_, err := nodes[0].ask(t.Context(), nodes[0].owned("b"), false)
			require.NoError(t, err)
			require.Equal(t, 1, nodes[1].count())
			first, second := w.sent()[0], w.sent()[1]
			require.Equal(t, first.GetNumber(), second.GetNumber(), "the batch was sent again")
		})
	})
	t.Run("MovedGoesOn", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, nodes := three(t)
			tries := 0
			nodes[1].serve = func(context.Context, *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
				tries++
				return &egopb.ClusterReply{Moved: tries < 3}, nil
			}
			_, err := nodes[0].ask(t.Context(), nodes[0].owned("b"), false)
			require.NoError(t, err)
			require.Equal(t, 3, tries)
		})
	})
	t.Run("AgainIsTriedAgainWhereItIs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, nodes := three(t)
			tries := 0
			nodes[1].serve = func(context.Context, *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
				if tries++; tries < 3 {
					return &egopb.ClusterReply{Failure: new(egopb.ClusterFailure)}, ErrAgain
				}
				return new(egopb.ClusterReply), nil
			}
			_, err := nodes[0].ask(t.Context(), nodes[0].owned("b"), false)
			require.NoError(t, err)
			require.Equal(t, 3, tries)
		})
	})
}

func TestDeath(t *testing.T) {
	t.Parallel()

	t.Run("RefusedGoesToTheNextOwnerWithoutAnID", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			id := nodes[0].owned("b")
			w.kill(nodes[1].Status().Self)
			begun := time.Now()
			_, err := nodes[0].ask(t.Context(), id, false)
			require.NoError(t, err)
			require.Less(t, time.Since(begun), 2*pollInterval, "a refused connection is proof enough")
			require.Zero(t, nodes[1].count())
		})
	})
	t.Run("DeliveredIsInDoubtWithoutAnID", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			id := nodes[0].owned("b")
			nodes[1].serve = func(ctx context.Context, _ *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
				<-ctx.Done()
				return &egopb.ClusterReply{}, nil
			}
			go func() {
				pass(time.Second)
				w.kill(nodes[1].Status().Self)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := nodes[0].ask(ctx, id, false)
			var doubt *InDoubtError
			require.ErrorAs(t, err, &doubt)
			_, err = nodes[0].ask(ctx, id, false)
			require.NoError(t, err, "the next one goes elsewhere")
		})
	})
	t.Run("DeliveredIsRepeatedElsewhereWithAnID", func(t *testing.T) { // G8
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			id := nodes[0].owned("b")
			nodes[1].serve = func(ctx context.Context, _ *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
				<-ctx.Done()
				return &egopb.ClusterReply{}, nil
			}
			go func() {
				pass(time.Second)
				w.kill(nodes[1].Status().Self)
			}()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := nodes[0].ask(ctx, id, true)
			require.NoError(t, err)
		})
	})
	t.Run("FalseAlarmPasses", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, nodes := three(t)
			// A batch met a gateway that did not listen yet, and a greeting met it listening before anybody looked.
			nodes[0].membership.Load().link(nodes[1].Status().Self).close(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := nodes[0].ask(ctx, nodes[0].owned("b"), false)
			require.NoError(t, err)
			require.Equal(t, 1, nodes[1].count())
		})
	})
	t.Run("CallerWhoGivesUpKnowsWhetherItWasSent", func(t *testing.T) { // G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			block := make(chan struct{})
			w.set(func() { w.block = block })
			defer close(block)
			id := nodes[0].owned("b")
			for i, inDoubt := range []bool{true, false} { // the second waits for the first batch
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := nodes[0].ask(ctx, id, true)
				var gave *GaveUpError
				require.ErrorAs(t, err, &gave)
				require.Equal(t, inDoubt, gave.MayTakeEffect, "call %d", i)
			}
		})
	})
}

func TestQuorum(t *testing.T) {
	t.Parallel()

	t.Run("CallsWaitForIt", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a := joinNode(t, w, "a", 2)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := a.ask(ctx, "x", true)
			require.ErrorIs(t, err, ErrNoQuorum)
			var gave *GaveUpError
			require.ErrorAs(t, err, &gave)
			require.False(t, gave.MayTakeEffect)
			answered := make(chan error, 1)
			go func() {
				_, err := a.ask(t.Context(), "x", true)
				answered <- err
			}()
			pass(time.Second)
			require.Empty(t, answered)
			joinNode(t, w, "b", 2)
			require.NoError(t, <-answered)
		})
	})
	t.Run("MinorityStopsAndJoinsAnew", func(t *testing.T) { // G2, G12
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			w.set(func() { w.apart["c"] = true })
			pass(10 * time.Second)
			require.NotEqual(t, Serving, nodes[2].Status().State)
			require.Positive(t, nodes[2].moved, "it let go of its entities")
			for _, n := range nodes[:2] {
				require.Equal(t, Serving, n.Status().State)
				require.Equal(t, 2, n.Status().Live)
			}
			epoch := nodes[2].Status().Self.Epoch
			pass(30 * time.Second)
			require.NotEqual(t, epoch, nodes[2].Status().Self.Epoch, "it goes on trying")
			w.set(func() { delete(w.apart, "c") })
			pass(30 * time.Second)
			for _, n := range nodes {
				require.Equal(t, Serving, n.Status().State)
				require.Equal(t, 3, n.Status().Live)
			}
		})
	})
	t.Run("StaysFencedWhenToldTo", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t, func(c *Config) { c.StayFenced = true })
			w.set(func() { w.apart["c"] = true })
			pass(time.Minute)
			require.Equal(t, Fenced, nodes[2].Status().State)
			require.Equal(t, 3, w.joins)
		})
	})
	t.Run("NodeThatWasGivenUpJoinsAnew", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w, nodes := three(t)
			epoch := nodes[2].Status().Self.Epoch
			w.set(func() { w.hidden["c"] = true }) // a and b have given it up; it still lists them
			pass(4 * time.Second)
			require.Equal(t, epoch, nodes[2].Status().Self.Epoch, "it may be a difference of a moment")
			pass(10 * time.Second)
			require.NotEqual(t, epoch, nodes[2].Status().Self.Epoch)
			require.Equal(t, Serving, nodes[0].Status().State)
			require.Equal(t, Serving, nodes[1].Status().State)
		})
	})
}

func TestRetire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, nodes := three(t)
		id := nodes[0].owned("b")
		release := make(chan struct{})
		nodes[1].serve = func(context.Context, *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
			<-release
			return &egopb.ClusterReply{}, nil
		}
		first := make(chan error, 1)
		go func() {
			_, err := nodes[0].ask(t.Context(), id, false)
			first <- err
		}()
		synctest.Wait()
		nodes[1].Retire(t.Context())
		synctest.Wait()
		_, err := nodes[0].ask(t.Context(), id, false)
		require.NoError(t, err, "a newer call goes elsewhere at once")
		stopped := make(chan error, 1)
		go func() { stopped <- nodes[1].Stop(t.Context()) }()
		synctest.Wait()
		close(release)
		require.NoError(t, <-first, "what was taken on is answered")
		require.NoError(t, <-stopped)
		require.Equal(t, 1, nodes[1].count())
	})
}
