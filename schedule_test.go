package ego_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

// hasty is a store whose claims on timers run out soon, so that what takes minutes takes a moment.
type hasty struct{ *memory.Store }

func (h *hasty) ClaimTimers(ctx context.Context, now time.Time, _ time.Duration, limit int) ([]*egopb.Timer, error) {
	return h.Store.ClaimTimers(ctx, now, time.Millisecond, limit)
}

// A scheduled command for an entity that nobody knows is tried for a while, in case somebody brings it to life, and then
// given up for everybody to see.
func TestScheduledForAnUnknownEntity(t *testing.T) { // G12
	t.Parallel()
	const (
		failed    = "ego.outcome=failed,ego.timer=ego.command"
		abandoned = "ego.outcome=abandoned,ego.timer=ego.command"
	)
	start := func(t *testing.T) (*ego.Engine, *hasty, *logged, func() map[string]int64) {
		t.Helper()
		log, reader, store := new(logged), sdkmetric.NewManualReader(), &hasty{newStore(t)}
		engine := startEngine(t, store, log.option(t), ego.WithTelemetry(&ego.Telemetry{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))}))
		return engine, store, log, func() map[string]int64 { return points(t, reader, "ego.timer.delay") }
	}

	t.Run("IsGivenUp", func(t *testing.T) {
		t.Parallel()
		engine, store, log, timers := start(t)
		_, err := engine.ScheduleCommand(t.Context(), "nobody", &testpb.Deposit{Amount: 10}, time.Now(), ego.WithScheduleID("salary"))
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			left, err := store.OwnerTimers(t.Context(), "nobody")
			return err == nil && len(left) == 0
		}, time.Minute, 5*time.Millisecond)
		line := log.find(t, "WARN", "a scheduled command was given up: its entity stayed unknown")
		require.Equal(t, "nobody", line["entity"])
		require.Equal(t, "salary", line["schedule"])
		require.GreaterOrEqual(t, line["attempts"], 10.0)
		require.Positive(t, timers()[abandoned])
		require.GreaterOrEqual(t, timers()[failed], int64(9), "it was tried for a while")
	})
	t.Run("ArrivesWhenItComesToLife", func(t *testing.T) {
		t.Parallel()
		engine, _, _, timers := start(t)
		_, err := engine.ScheduleCommand(t.Context(), "late", &testpb.Deposit{Amount: 10}, time.Now())
		require.NoError(t, err)
		require.Eventually(t, func() bool { return timers()[failed] > 0 }, time.Minute, time.Millisecond)
		require.NoError(t, engine.Entity(t.Context(), testaccount.New("late")))
		require.Eventually(t, func() bool { return money(t, engine, "late") == 10 }, time.Minute, 5*time.Millisecond)
		require.Zero(t, timers()[abandoned])
	})
	t.Run("RefusedIsGoneAtOnce", func(t *testing.T) {
		t.Parallel()
		engine, store, log, timers := start(t)
		open(t, engine, "a")
		_, err := engine.ScheduleCommand(t.Context(), "a", &testpb.Withdraw{Amount: 1}, time.Now())
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			left, err := store.OwnerTimers(t.Context(), "a")
			return err == nil && len(left) == 0
		}, time.Minute, 5*time.Millisecond)
		require.NotNil(t, log.find(t, "WARN", "a scheduled command was refused"))
		require.Positive(t, timers()[abandoned])
		require.Zero(t, timers()[failed])
	})
}
