package ego_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

// traced is where the spans of some engines come together.
type traced struct {
	exporter *tracetest.InMemoryExporter
	provider *sdktrace.TracerProvider
}

func newTraced() *traced {
	exporter := tracetest.NewInMemoryExporter()
	return &traced{exporter, sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))}
}

func (tr *traced) option() ego.Option {
	return ego.WithTelemetry(&ego.Telemetry{TracerProvider: tr.provider})
}

// request returns a context with a span of the caller, which is ended.
func (tr *traced) request(t *testing.T) (context.Context, trace.SpanContext) {
	t.Helper()
	ctx, span := tr.provider.Tracer("caller").Start(t.Context(), "request")
	span.End()
	return ctx, span.SpanContext()
}

// path returns the names of the spans from the root of a trace to a span.
func (tr *traced) path(span tracetest.SpanStub) string {
	spans := tr.exporter.GetSpans()
	names := []string{span.Name}
	for span.Parent.IsValid() {
		i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.SpanContext.SpanID() == span.Parent.SpanID() })
		if i < 0 {
			return "missing/" + strings.Join(names, "/")
		}
		span = spans[i]
		names = slices.Insert(names, 0, span.Name)
	}
	return strings.Join(names, "/")
}

// paths returns the paths of all spans of a trace, sorted.
func (tr *traced) paths(id trace.TraceID) []string {
	var paths []string
	for _, span := range tr.exporter.GetSpans() {
		if span.SpanContext.TraceID() == id {
			paths = append(paths, tr.path(span))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// await waits until a trace has certain paths.
func (tr *traced) await(t *testing.T, id trace.TraceID, paths ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		have := tr.paths(id)
		for _, path := range paths {
			require.Contains(c, have, path)
		}
	}, patience, 5*time.Millisecond)
}

// one returns the only span of a path.
func (tr *traced) one(t *testing.T, id trace.TraceID, path string) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	for _, span := range tr.exporter.GetSpans() {
		if span.SpanContext.TraceID() == id && tr.path(span) == path {
			found = append(found, span)
		}
	}
	require.Len(t, found, 1, path)
	return found[0]
}

const (
	tracedDeposit  = "request/command egotest.v1.Deposit"
	tracedWithdraw = "request/saga start/command egotest.v1.Withdraw"
)

func TestTraceOfAnEvent(t *testing.T) { // G12
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		tr := newTraced()
		board := newDesk("board")
		var engine *ego.Engine
		forward := projection.HandlerFunc(func(ctx context.Context, event *projection.Event) error {
			if event.PersistenceID != "a" {
				return nil
			}
			_, _, err := engine.SendCommand(ctx, "b", &testpb.Deposit{Amount: 1}, patience)
			return err
		})
		engine = startEngine(t, store, tr.option(), ego.WithProjection("forward", &projection.Options{Handler: forward}))
		require.NoError(t, engine.AddEventPublishers(publisher.WithOptions(board, publisher.Options{})))
		open(t, engine, "a")
		open(t, engine, "b")
		startProjection(t, engine, "forward")
		ctx, root := tr.request(t)
		_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
		tr.await(t, root.TraceID(), tracedDeposit+"/append", tracedDeposit+"/process forward", tracedDeposit+"/send board",
			tracedDeposit+"/process forward/command egotest.v1.Deposit/append",
			tracedDeposit+"/process forward/command egotest.v1.Deposit/send board")

		written := tr.one(t, root.TraceID(), tracedDeposit+"/append")
		require.Equal(t, trace.SpanKindClient, written.SpanKind)
		require.Contains(t, written.Attributes, attribute.String("db.operation.name", "append"))
		handled := tr.one(t, root.TraceID(), tracedDeposit+"/process forward")
		require.Equal(t, trace.SpanKindConsumer, handled.SpanKind)
		require.Subset(t, handled.Attributes, []attribute.KeyValue{
			attribute.String("ego.consumer", "forward"), attribute.String("ego.entity", "a"), attribute.String("messaging.operation.type", "process"),
		})
		sent := tr.one(t, root.TraceID(), tracedDeposit+"/send board")
		require.Equal(t, trace.SpanKindProducer, sent.SpanKind)
		require.Contains(t, sent.Attributes, attribute.String("messaging.system", "desk"))
		require.Contains(t, handled.Attributes, attribute.String("messaging.system", "ego"))
	})
}

func TestTraceOfASaga(t *testing.T) { // G7, G12
	t.Parallel()
	onStores(t, func(t *testing.T, store persistencetest.Backend) {
		tr := newTraced()
		engine := startBank(t, store, tr.option(), ego.WithKinds(transferKind(new(calls))))
		ctx, root := tr.request(t)
		require.NoError(t, engine.Saga(ctx, newTransfer("s"), time.Minute))
		settled(t, engine, "s", ego.SagaCompleted)
		tr.await(t, root.TraceID(), "request/saga start", tracedWithdraw, tracedWithdraw+"/append",
			tracedWithdraw+"/saga event", "request/saga start/saga result/command egotest.v1.Deposit/append")
	})
}

// A trace goes on in another process: here, a second engine on the file of the first.
func TestTraceOverARestart(t *testing.T) { // G7, G12
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ego.db")
	run := func(do func(engine *ego.Engine), opts ...ego.Option) {
		store, err := sqlite.Open(file)
		require.NoError(t, err)
		require.NoError(t, store.Connect(t.Context()))
		engine := startEngine(t, store, opts...)
		do(engine)
		stopEngine(t, engine)
		require.NoError(t, store.Disconnect(t.Context()))
	}
	tr := newTraced()
	ctx, root := tr.request(t)
	run(func(engine *ego.Engine) {
		open(t, engine, "a")
		_, _, err := engine.SendCommand(ctx, "a", &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
		_, err = engine.ScheduleCommand(ctx, "a", &testpb.Withdraw{Amount: 1}, time.Now().Add(50*time.Millisecond))
		require.NoError(t, err)
	}, tr.option())
	run(func(engine *ego.Engine) {
		startProjection(t, engine, "p")
		tr.await(t, root.TraceID(), tracedDeposit+"/process p", "request/command egotest.v1.Withdraw/process p")
	}, tr.option(), ego.WithProjection("p", &projection.Options{Handler: new(seen)}))
}

// gathering is a batch handler.
type gathering struct{ seen }

func (g *gathering) HandleBatch(ctx context.Context, events []*projection.Event) error {
	for _, event := range events {
		if err := g.Handle(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

func TestTraceOfABatch(t *testing.T) { // G12
	t.Parallel()
	const n = 8
	tr := newTraced()
	store := newStore(t)
	faults := persistencetest.NewFaults()
	engine := startEngine(t, faults.Events(store), tr.option(), ego.WithOffsetStore(store),
		ego.WithProjection("p", &projection.Options{Handler: new(gathering)}))
	open(t, engine, "hot")
	release := faults.On("WriteEvents").First(1).Block()
	var requests []trace.SpanContext
	var senders sync.WaitGroup
	for i := range n {
		ctx, root := tr.request(t)
		requests = append(requests, root)
		id := fmt.Sprint(i)
		require.NoError(t, engine.Entity(t.Context(), testaccount.New(id)))
		senders.Go(func() {
			if _, _, err := engine.SendCommand(ctx, id, &testpb.Deposit{Amount: 1}, patience); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return faults.Calls("WriteEvents") > 0 }, patience, time.Millisecond)
	release()
	senders.Wait()
	for range 3 { // more than one event in a shard
		ctx, root := tr.request(t)
		requests = append(requests, root)
		_, _, err := engine.SendCommand(ctx, "hot", &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
	}
	startProjection(t, engine, "p")
	awaitProjection(t, engine, "p", "hot", 3)

	linked := make(map[trace.TraceID]bool) // by spans of batches
	var ofMany int
	require.Eventually(t, func() bool {
		ofMany = 0
		for _, span := range tr.exporter.GetSpans() {
			if span.Name != "process p" {
				continue
			}
			if len(span.Links) > 1 {
				ofMany++
				require.False(t, span.Parent.IsValid(), "many parents are none")
			}
			for _, link := range span.Links {
				linked[link.SpanContext.TraceID()] = true
			}
			if span.Parent.IsValid() {
				linked[span.SpanContext.TraceID()] = true
			}
		}
		return len(linked) == len(requests)
	}, patience, time.Millisecond)
	require.NotZero(t, ofMany)
	for _, root := range requests {
		require.Contains(t, tr.paths(root.TraceID()), tracedDeposit+"/append", "every command has its append, however many share a write")
	}
}
