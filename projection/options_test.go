package projection_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/projection"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ batch, window, parallelism, want int }{
		{0, 0, 0, projection.DefaultBatchSize},
		{10, 0, 1, 10},
		{10, 0, 4, 1000},
		{600, 0, 4, 2400},
		{10, 10, 1, 10},
		{10, 25, 4, 25},
		{10, 9, 1, -1},
		{0, 499, 1, -1},
		{10, -1, 1, -1},
	} {
		options := projection.Options{
			Handler:   projection.HandlerFunc(func(context.Context, *projection.Event) error { return nil }),
			BatchSize: c.batch, Window: c.window, Parallelism: c.parallelism,
		}
		if c.want < 0 {
			require.ErrorContains(t, options.Validate(), "window", c)
			continue
		}
		require.NoError(t, options.Validate(), c)
		require.Equal(t, c.want, options.WithDefaults().Window, c)
	}
}
