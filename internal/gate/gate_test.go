package gate_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/gate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGate(t *testing.T) {
	t.Parallel()

	t.Run("CloseWaitsForThoseInside", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var g gate.Gate
			require.True(t, g.Enter())
			require.True(t, g.Enter())
			closed := make(chan error, 2)
			for range 2 {
				go func() { closed <- g.Close(t.Context()) }()
			}
			synctest.Wait()
			require.Empty(t, closed)
			require.False(t, g.Enter())
			g.Leave()
			synctest.Wait()
			require.Empty(t, closed)
			g.Leave()
			require.NoError(t, <-closed)
			require.NoError(t, <-closed)
			require.NoError(t, g.Close(t.Context()))
		})
	})
	t.Run("CloseGivesUpWithItsContext", func(t *testing.T) {
		t.Parallel()
		var g gate.Gate
		require.True(t, g.Enter())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, g.Close(ctx), context.Canceled)
		g.Leave()
		require.NoError(t, g.Close(t.Context()))
	})
}
