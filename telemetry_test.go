package ego_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/projection"
)

// instrumented starts an engine whose traces and metrics can be read.
func instrumented(t *testing.T, store *failing, opts ...ego.Option) (*ego.Engine, *tracetest.SpanRecorder, *sdkmetric.ManualReader) {
	t.Helper()
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	engine := startEngine(t, store, append(opts, ego.WithTelemetry(&ego.Telemetry{TracerProvider: traces, MeterProvider: metrics}))...)
	return engine, spans, reader
}

// points returns how often each combination of attributes of an instrument was recorded, or the value of a gauge.
func points(t *testing.T, reader *sdkmetric.ManualReader, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	counts := make(map[string]int64)
	key := func(set attribute.Set) string { return set.Encoded(attribute.DefaultEncoder()) }
	for _, scope := range all.ScopeMetrics {
		require.Equal(t, "github.com/actorkeep/ego", scope.Scope.Name)
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					counts[key(p.Attributes)] = int64(p.Count)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					counts[key(p.Attributes)] = int64(p.Count)
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					counts[key(p.Attributes)] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					counts[key(p.Attributes)] = p.Value
				}
			}
		}
	}
	return counts
}

func TestMetrics(t *testing.T) {
	t.Parallel()

	t.Run("OfCommands", func(t *testing.T) {
		t.Parallel()
		store := &failing{EventsStore: newStore(t)}
		engine, _, reader := instrumented(t, store)
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		deposit(t, engine, "a", 1)
		send := func(command ego.Command) error {
			_, _, err := engine.SendCommand(t.Context(), "a", command, patience)
			return err
		}
		require.Error(t, send(&testpb.Withdraw{Amount: 10}))
		require.Error(t, send(&testpb.Misbehave{How: "panic"}))
		store.after.Store(true)
		require.ErrorIs(t, send(&testpb.Deposit{Amount: 1}), ego.ErrOutcomeUnknown)
		store.after.Store(false)
		_, _, err := engine.SendCommand(t.Context(), "nobody", &testpb.Deposit{Amount: 1}, patience)
		require.ErrorIs(t, err, ego.ErrEntityNotFound)
		_, _, err = engine.EntityState(t.Context(), "a", patience)
		require.NoError(t, err)

		require.Equal(t, map[string]int64{
			"ego.command=egotest.v1.Deposit,ego.kind=account,ego.outcome=ok":       2,
			"ego.command=egotest.v1.Deposit,ego.kind=account,ego.outcome=unknown":  1,
			"ego.command=egotest.v1.Withdraw,ego.kind=account,ego.outcome=refused": 1,
			"ego.command=egotest.v1.Misbehave,ego.kind=account,ego.outcome=panic":  1,
			"ego.command=egotest.v1.Deposit,ego.outcome=not_found":                 1,
			"ego.kind=account,ego.outcome=ok":                                      1,
		}, points(t, reader, "ego.command.duration"))
		require.Equal(t, map[string]int64{"ego.outcome=committed": 2, "ego.outcome=unknown": 1}, points(t, reader, "ego.journal.write.events"))
		require.Equal(t, map[string]int64{"": 1}, points(t, reader, "ego.entity.live"))
		require.NotZero(t, points(t, reader, "ego.recovery.duration")["ego.kind=account,ego.outcome=ok"])
	})
	t.Run("OfSnapshotsWrittenAndIgnored", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		engine, _, reader := instrumented(t, &failing{EventsStore: store}, ego.WithSnapshotStore(store), ego.WithSnapshotInterval(2))
		open(t, engine, "a")
		deposit(t, engine, "a", 1)
		deposit(t, engine, "a", 1)
		require.Eventually(t, func() bool {
			return points(t, reader, "ego.snapshots")["ego.kind=account,ego.outcome=ok"] == 1
		}, patience, time.Millisecond)
		damaged := &egopb.Snapshot{PersistenceId: "a", SequenceNumber: 2, Kind: "account"}
		require.NoError(t, store.WriteSnapshot(t.Context(), damaged))
		state, err := engine.StateAt(t.Context(), testaccount.New("a"), 2)
		require.NoError(t, err)
		require.EqualValues(t, 2, state.(*testpb.Account).GetBalance())
		require.EqualValues(t, 1, points(t, reader, "ego.snapshots")["ego.kind=account,ego.outcome=ignored"])
	})
}

func TestTraces(t *testing.T) {
	t.Parallel()
	store := &failing{EventsStore: newStore(t)}
	engine, spans, _ := instrumented(t, store)
	var seen ego.Metadata
	require.NoError(t, engine.Entity(t.Context(), &observed{scripted{id: "a"}, func(ctx context.Context) { seen = ego.CommandMetadata(ctx) }}))
	ctx, caller := sdktrace.NewTracerProvider().Tracer("caller").Start(t.Context(), "request")
	_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 1}, patience)
	require.NoError(t, err)
	caller.End()

	var command, written sdktrace.ReadOnlySpan
	for _, span := range spans.Ended() {
		switch {
		case span.Name() == "command egotest.v1.Deposit":
			command = span
		case span.Name() == "append":
			written = span
		}
	}
	require.NotNil(t, command)
	require.Equal(t, caller.SpanContext().TraceID(), command.SpanContext().TraceID(), "one trace from the caller on")
	require.Equal(t, caller.SpanContext().SpanID(), command.Parent().SpanID())
	require.Equal(t, codes.Unset, command.Status().Code)
	require.Contains(t, command.Attributes(), attribute.String("ego.entity", "a"))
	require.Contains(t, seen.TraceParent, command.SpanContext().SpanID().String(), "handlers see the span of the command")
	_, events := history(t, engine, "a", 1, 1)
	require.Equal(t, seen.TraceParent, events[0].Metadata.TraceParent)
	require.NotNil(t, written)
	require.Equal(t, command.SpanContext().SpanID(), written.Parent().SpanID())

	store.before.Store(true)
	_, _, err = engine.SendCommand(t.Context(), "a", &testpb.Deposit{Amount: 1}, patience)
	require.Error(t, err)
	failed := spans.Ended()
	require.Equal(t, codes.Error, failed[len(failed)-1].Status().Code)
	require.ErrorIs(t, err, errDown)
}

func TestMetricsOfConsumers(t *testing.T) { // G12
	t.Parallel()
	handler := new(seen)
	store := newStore(t)
	engine, _, reader := instrumented(t, &failing{EventsStore: store}, ego.WithOffsetStore(store),
		ego.WithProjection("p", &projection.Options{Handler: handler}))
	open(t, engine, "a")
	deposit(t, engine, "a", 1)
	require.NoError(t, engine.StartProjection(t.Context(), "p"))
	awaitProjection(t, engine, "p", "a", 1)
	require.EqualValues(t, 1, points(t, reader, "ego.consumer.events")["ego.consumer=p,ego.outcome=handled"])
	handler.failWith(func(*projection.Event) error { return errDown })
	deposit(t, engine, "a", 1)
	require.Eventually(t, func() bool {
		return points(t, reader, "ego.consumer.shards")["ego.consumer=p,ego.state=failed"] == 1
	}, patience, time.Millisecond)
	require.Equal(t, map[string]int64{"ego.consumer=p,ego.reason=handler,ego.state=failed": 1}, points(t, reader, "ego.consumer.problems"))
	deposit(t, engine, "a", 1)
	shard := fmt.Sprintf("ego.consumer=p,ego.shard=%d", persistence.ShardOf("a", store.ShardCount()))
	require.Eventually(t, func() bool { // the one that failed, and the one after it
		return points(t, reader, "ego.consumer.lag.events")[shard] == 2
	}, patience, time.Millisecond)
	behind := points(t, reader, "ego.consumer.lag.events")
	require.Len(t, behind, int(store.ShardCount()))
	delete(behind, shard)
	for other, events := range behind {
		require.Zero(t, events, other)
	}
}
