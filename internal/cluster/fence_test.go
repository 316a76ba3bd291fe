package cluster

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFence(t *testing.T) { // G12
	t.Parallel()
	begin := time.Now()
	f := fence{quorum: 2, grace: 3 * time.Second, rejoin: 10 * time.Second}
	at := func(seconds, live int, rejoin bool, state State) {
		t.Helper()
		require.Equal(t, rejoin, f.observe(begin.Add(time.Duration(seconds)*time.Second), live))
		require.Equal(t, state, f.state)
	}
	f.joined(begin)
	at(0, 1, false, Joining)
	at(9, 1, false, Joining)
	at(10, 1, true, Joining) // nobody came: perhaps they are in another cluster
	f.joined(begin.Add(11 * time.Second))
	at(12, 1, false, Joining)
	at(13, 2, false, Serving)
	at(14, 1, false, Serving)
	at(16, 1, false, Serving)
	at(16, 2, false, Serving) // it was a short one
	at(20, 1, false, Serving)
	at(23, 1, true, Fenced)
	at(24, 1, false, Fenced)
	at(25, 2, false, Serving) // the quorum came back by itself
	f.enter(Leaving, begin)
	at(90, 1, false, Leaving)
}

func TestMustYield(t *testing.T) {
	t.Parallel()
	id := func(host string) ID { return ID{Host: host, Port: 1, Epoch: "e"} }
	ids := func(hosts string) (list []ID) {
		for _, host := range hosts {
			list = append(list, id(string(host)))
		}
		return list
	}
	for _, c := range []struct {
		self, mine, peer, theirs string
		yields                   bool
	}{
		{"a", "abc", "b", "abc", false},
		{"a", "abc", "b", "bc", true}, // a was suspended, and given up meanwhile
		{"b", "bc", "a", "abc", false},
		{"a", "a", "b", "bc", true}, // a cut into unequal parts
		{"b", "bc", "a", "a", false},
		{"a", "ab", "c", "cd", false}, // into equal ones
		{"c", "cd", "a", "ab", true},
	} {
		require.Equal(t, c.yields, mustYield(id(c.self), ids(c.mine), id(c.peer), ids(c.theirs)), "%+v", c)
	}
	t.Run("NeverBothAndAlwaysOneOfTwoParts", func(t *testing.T) {
		t.Parallel()
		random := rand.New(rand.NewPCG(1, 2))
		for range 10_000 {
			var a, b []ID
			for _, host := range "cdefgh" {
				if random.IntN(2) == 0 {
					a = append(a, id(string(host)))
				}
				if random.IntN(2) == 0 {
					b = append(b, id(string(host)))
				}
			}
			a, b = append(a, id("a")), append(b, id("b"))
			require.NotEqual(t, mustYield(id("a"), a, id("b"), b), mustYield(id("b"), b, id("a"), a), "%v %v", a, b)
		}
	})
}
