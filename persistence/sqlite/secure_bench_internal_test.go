package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
)

// BenchmarkSecureDelete compares what the store writes with secure_delete, which it always has, and without: appends, which
// free nothing; states, which replace rows; and deletions of events. The two take turns, so that both see the same machine.
func BenchmarkSecureDelete(b *testing.B) {
	const batch = 64
	for _, op := range []string{"append", "state", "delete"} {
		b.Run("op="+op, func(b *testing.B) {
			on, off := newRewriter(b, "ON"), newRewriter(b, "OFF")
			for b.Loop() {
				for _, r := range []*rewriter{on, off} {
					r.step(b, op, batch)
				}
			}
			for _, r := range []*rewriter{on, off} {
				b.ReportMetric(float64(b.N*batch)/r.took.Seconds(), "rows/s-"+r.secure)
			}
			b.ReportMetric(on.took.Seconds()/off.took.Seconds(), "on/off")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A rewriter writes to a store of its own.
type rewriter struct {
	store  *Store
	secure string
	round  uint64
	took   time.Duration
}

func newRewriter(b *testing.B, secure string) *rewriter {
	b.Helper()
	store, err := Open(filepath.Join(b.TempDir(), secure+".db"))
	require.NoError(b, err)
	require.NoError(b, store.Connect(b.Context()))
	b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
	_, err = store.lifecycle.Current().writer.ExecContext(b.Context(), "PRAGMA secure_delete = "+secure)
	require.NoError(b, err)
	var set int
	require.NoError(b, store.lifecycle.Current().writer.QueryRowContext(b.Context(), "PRAGMA secure_delete").Scan(&set))
	require.Equal(b, secure == "ON", set == 1)
	return &rewriter{store: store, secure: secure}
}

// step writes a batch. What it needs for that is not measured.
func (r *rewriter) step(b *testing.B, op string, batch int) {
	b.Helper()
	r.round++
	if op == "delete" {
		r.write(b, fmt.Sprint("entity-", r.round), batch)
	}
	begun := time.Now()
	switch op {
	case "append":
		r.write(b, fmt.Sprint("entity-", r.round), batch)
	case "delete":
		require.NoError(b, r.store.DeleteEvents(b.Context(), fmt.Sprint("entity-", r.round), uint64(batch)))
	default:
		for i := range batch {
			require.NoError(b, r.store.WriteState(b.Context(), &egopb.DurableState{
				PersistenceId: fmt.Sprint("entity-", i), Revision: r.round, Kind: "account", State: benchPayload(),
			}))
		}
	}
	r.took += time.Since(begun)
}

func (r *rewriter) write(b *testing.B, id string, batch int) {
	b.Helper()
	events := make([]*egopb.Event, batch)
	for i := range events {
		events[i] = &egopb.Event{PersistenceId: id, SequenceNumber: uint64(i) + 1, Kind: "account", Payload: benchPayload()}
	}
	require.NoError(b, r.store.WriteEvents(b.Context(), events))
}

func benchPayload() *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.StringValue", Value: make([]byte, 128)}
}
