package envelope_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/testpb"
)

// Without an encryptor and adapters the codec allocates nothing but the message.
func TestPlainAllocatesNothingExtra(t *testing.T) { // not parallel: it counts allocations
	codec := envelope.New(nil, nil)
	event := newRecord("a", 1)
	message := &testpb.Deposited{Amount: 5}
	ctx := t.Context()
	require.NoError(t, codec.PackEvent(ctx, event, message))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = codec.PackEvent(ctx, event, message) }))

	into := make([]proto.Message, 0, 1)
	bare := testing.AllocsPerRun(100, func() { _, _ = event.GetPayload().UnmarshalNew() })
	opened := testing.AllocsPerRun(100, func() { _, _ = codec.OpenMessages(ctx, event, into) })
	require.LessOrEqual(t, opened, bare)
	require.False(t, codec.Guards())
}
