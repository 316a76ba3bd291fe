package journal

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"github.com/actorkeep/ego/egopb"
)

func TestSizeOf(t *testing.T) {
	t.Parallel()

	t.Run("IsAnEstimateFromAbove", func(t *testing.T) {
		t.Parallel()
		text, number := rapid.String(), rapid.Uint64()
		rapid.Check(t, func(t *rapid.T) {
			events := make([]*egopb.Event, rapid.IntRange(0, 3).Draw(t, "events"))
			want := 0
			for i := range events {
				events[i] = &egopb.Event{
					PersistenceId: text.Draw(t, "id"), SequenceNumber: number.Draw(t, "number"), Shard: rapid.Uint32().Draw(t, "shard"),
					Position: number.Draw(t, "position"), Kind: text.Draw(t, "kind"), TimeUnixNano: rapid.Int64().Draw(t, "time"),
					CommandId: text.Draw(t, "command"), CorrelationId: text.Draw(t, "correlation"), CausationId: text.Draw(t, "causation"),
					Trace:   &egopb.TraceContext{Traceparent: text.Draw(t, "parent"), Tracestate: text.Draw(t, "state")},
					Payload: &anypb.Any{TypeUrl: text.Draw(t, "url"), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value")},
					Tags:    rapid.SliceOf(text).Draw(t, "tags"), Metadata: rapid.MapOf(text, text).Draw(t, "metadata"),
					KeyId: text.Draw(t, "key"), WriterId: text.Draw(t, "writer"), Deleted: true,
				}
				want += proto.Size(events[i])
			}
			require.GreaterOrEqual(t, sizeOf(events), want)
		})
	})
	t.Run("OfALargeEventIsClose", func(t *testing.T) {
		t.Parallel()
		events := []*egopb.Event{{PersistenceId: "a", Payload: &anypb.Any{Value: make([]byte, 1<<26)}}, nil}
		require.InDelta(t, 1<<26, sizeOf(events), 300)
		require.GreaterOrEqual(t, sizeOf(events), proto.Size(events[0]))
	})
}
