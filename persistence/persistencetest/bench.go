package persistencetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
)

// RunBenchmarks measures a store: appending events in batches of several sizes, replaying an entity, scanning a shard, and
// writing states. The function is that of [Run]. Benchmarks of interfaces that are nil are left out. Besides the time of
// one operation each reports events/s or states/s; payloads have 128 bytes.
func RunBenchmarks(b *testing.B, open func(b testing.TB) Stores) {
	b.Helper()
	provided := open(b)
	if provided.Events != nil {
		for _, batch := range []int{1, 64, 1_000} {
			b.Run(fmt.Sprintf("op=append/batch=%d", batch), func(b *testing.B) { benchmarkAppend(b, open(b), batch) })
		}
		for _, events := range []int{100, 10_000} {
			b.Run(fmt.Sprintf("op=replay/events=%d", events), func(b *testing.B) { benchmarkReplay(b, open(b), events) })
		}
		for _, limit := range []int{100, 1_000} {
			b.Run(fmt.Sprintf("op=scan/limit=%d", limit), func(b *testing.B) { benchmarkScan(b, open(b), limit) })
		}
	}
	if provided.States != nil {
		for _, entities := range []int{1, 1_000} {
			b.Run(fmt.Sprintf("op=state/entities=%d", entities), func(b *testing.B) { benchmarkState(b, open(b), entities) })
		}
	}
}

// payloadSize is the size of the payloads that benchmarks write.
const payloadSize = 128

func benchmarkEvent(id string, number uint64) *egopb.Event {
	event := newEvent(id, number)
	event.Payload.Value = make([]byte, payloadSize)
	return event
}

// reportRate reports how many of something one second had.
func reportRate(b *testing.B, perOperation int, unit string) {
	b.Helper()
	b.ReportMetric(float64(perOperation)*float64(b.N)/b.Elapsed().Seconds(), unit+"/s")
}

// benchmarkAppend writes batches over a hundred entities, as the engine gathers them.
func benchmarkAppend(b *testing.B, s Stores, size int) {
	events := make([]*egopb.Event, 100)
	for i := range events {
		events[i] = benchmarkEvent(fmt.Sprintf("entity-%d", i), 0)
	}
	batch := make([]*egopb.Event, size)
	for i := range batch {
		batch[i] = new(egopb.Event)
	}
	ctx, next := b.Context(), 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			event := events[next%len(events)]
			event.SequenceNumber++
			batch[i].PersistenceId, batch[i].SequenceNumber = event.GetPersistenceId(), event.GetSequenceNumber()
			batch[i].Kind, batch[i].Payload, batch[i].TimeUnixNano = event.GetKind(), event.GetPayload(), event.GetTimeUnixNano()
			next++
		}
		if err := s.Events.WriteEvents(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	reportRate(b, size, "events")
}

// writeJournals writes journals of a length for entities of one shard.
func writeJournals(b *testing.B, s Stores, entities, length int) (ids []string) {
	b.Helper()
	ids = idsInShard(s.Events.ShardCount(), entities)
	var batch []*egopb.Event
	for number := 1; number <= length; number++ {
		for _, id := range ids {
			batch = append(batch, benchmarkEvent(id, uint64(number)))
		}
		if len(batch) >= 1_000 || number == length {
			require.NoError(b, s.Events.WriteEvents(b.Context(), batch))
			batch = batch[:0]
		}
	}
	return ids
}

// benchmarkReplay replays one entity among ten.
func benchmarkReplay(b *testing.B, s Stores, length int) {
	ids := writeJournals(b, s, 10, length)
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		read := 0
		for _, err := range s.Events.ReplayEvents(ctx, ids[i%len(ids)], 1, math.MaxUint64) {
			if err != nil {
				b.Fatal(err)
			}
			read++
		}
		if read != length {
			b.Fatalf("replayed %d events of %d", read, length)
		}
	}
	reportRate(b, length, "events")
}

// benchmarkScan reads a shard of 20,000 events page by page, over and over.
func benchmarkScan(b *testing.B, s Stores, limit int) {
	writeJournals(b, s, 20, 1_000)
	ctx := b.Context()
	position, read := uint64(0), 0
	b.ReportAllocs()
	for b.Loop() {
		events, err := s.Events.GetShardEvents(ctx, 0, position, limit)
		if err != nil {
			b.Fatal(err)
		}
		position, read = position+uint64(len(events)), read+len(events)
		if len(events) < limit {
			position = 0
		}
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
}

func benchmarkState(b *testing.B, s Stores, entities int) {
	states := make([]*egopb.DurableState, entities)
	for i := range states {
		states[i] = newState(fmt.Sprintf("entity-%d", i), 0)
		states[i].State.Value = make([]byte, payloadSize)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		state := states[i%entities]
		state.Revision++
		if err := s.States.WriteState(ctx, state); err != nil {
			b.Fatal(err)
		}
	}
	reportRate(b, 1, "states")
}
