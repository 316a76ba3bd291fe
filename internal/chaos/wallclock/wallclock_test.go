package wallclock_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/chaos/wallclock"
)

// outside asks another clock: that of the file system.
func outside(t *testing.T) time.Time {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	info, err := file.Stat()
	require.NoError(t, err)
	return info.ModTime()
}

func TestStep(t *testing.T) { //nolint:paralleltest // it steps the clock of the process
	if !wallclock.Step(0) {
		t.Log("the clock cannot be stepped here")
		return
	}
	for _, by := range []time.Duration{5 * time.Minute, -10 * time.Minute, 5 * time.Minute} {
		before := time.Now()
		require.True(t, wallclock.Step(by))
		after := time.Now()
		require.InDelta(t, by, after.Round(0).Sub(before.Round(0)), float64(10*time.Second), "the wall clock")
		require.Less(t, after.Sub(before), 10*time.Second, "monotonic time")
	}
	require.InDelta(t, 0, time.Since(outside(t)), float64(10*time.Second), "all steps taken back")
	fired := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() { close(fired) })
	wallclock.Step(-time.Hour)
	<-fired // timers do not care
	require.InDelta(t, -time.Hour, time.Until(outside(t))*-1, float64(10*time.Second))
	wallclock.Step(time.Hour)
}
