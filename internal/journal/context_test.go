package journal

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func newWriteContext(timeout time.Duration) *writeContext {
	c := newClock()
	return &writeContext{clock: &c, deadline: c.now() + timeout}
}

func TestWriteContext(t *testing.T) {
	t.Parallel()

	inBubble := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
	inBubble("EndsAtItsDeadlineUnwatched", func(t *testing.T) {
		ctx := newWriteContext(time.Second)
		require.NoError(t, ctx.Err())
		<-time.After(time.Second)
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		<-ctx.Done()
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		ctx.end()
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
	})
	inBubble("EndsAtItsDeadlineWatched", func(t *testing.T) {
		ctx := newWriteContext(time.Second)
		started := time.Now()
		<-ctx.Done()
		require.Equal(t, time.Second, time.Since(started))
		require.Equal(t, context.DeadlineExceeded, ctx.Err())
		require.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
	})
	inBubble("IsCanceledWhenTheWriteReturns", func(t *testing.T) {
		watched, unwatched := newWriteContext(time.Second), newWriteContext(time.Second)
		done := watched.Done()
		watched.end()
		unwatched.end()
		<-done
		require.Equal(t, context.Canceled, watched.Err())
		require.Equal(t, context.Canceled, unwatched.Err())
		<-unwatched.Done()
		require.Equal(t, context.Canceled, unwatched.Err())
	})
	inBubble("HasItsDeadline", func(t *testing.T) {
		deadline, ok := newWriteContext(time.Second).Deadline()
		require.True(t, ok)
		require.Equal(t, time.Second, time.Until(deadline))
	})
	inBubble("EndsDerivedContextsWithoutAGoroutine", func(t *testing.T) {
		ctx := newWriteContext(time.Second)
		before := runtime.NumGoroutine()
		var children []context.Context
		for range 1000 { // far more than what other tests may start meanwhile
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			children = append(children, child)
		}
		require.Less(t, runtime.NumGoroutine(), before+500)
		ctx.end()
		for _, child := range children {
			require.Equal(t, context.Canceled, child.Err())
		}
	})
	inBubble("MayBeWatchedAndEndedAtOnce", func(t *testing.T) {
		for range 200 {
			ctx := newWriteContext(time.Hour)
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					<-ctx.Done()
					if !errors.Is(ctx.Err(), context.Canceled) {
						t.Error(ctx.Err())
					}
				})
			}
			all.Go(ctx.end)
			all.Wait()
		}
	})
}
