package publishertest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

func stateCases() []Case {
	return []Case{
		{"States/ArriveWhole", stateArrivesWhole, needStates},
		{"States/KeepTheOrderOfAnEntity", statesKeepOrder, needStates},
	}
}

func newState(t testing.TB, id string, revision uint64) *egopb.DurableState {
	t.Helper()
	e := newEvent(t, id, revision)
	return &egopb.DurableState{
		PersistenceId: e.GetPersistenceId(), Revision: revision, Shard: e.GetShard(), Position: e.GetPosition(), Kind: e.GetKind(),
		State: e.GetPayload(), TimeUnixNano: e.GetTimeUnixNano(), CommandId: e.GetCommandId(), CorrelationId: e.GetCorrelationId(),
		CausationId: e.GetCausationId(), Trace: e.GetTrace(), Tags: e.GetTags(), Metadata: e.GetMetadata(), WriterId: e.GetWriterId(),
	}
}

func stateArrivesWhole(t testing.TB, b Broker) {
	p, state := openStates(t, b), newState(t, "a", 9)
	require.NoError(t, p.Publish(patient(t), state))
	received := b.Received(t)
	require.Len(t, received, 1)
	require.Equal(t, publisher.StateID(state), received[0].ID)
	require.Equal(t, "a", received[0].Key)
	got := new(egopb.DurableState)
	bodyOf(t, b, received[0].ID, got)
	require.True(t, proto.Equal(state, got), "sent %v, received %v", state, got)
}

func statesKeepOrder(t testing.TB, b Broker) {
	p := openStates(t, b)
	var states []*egopb.DurableState
	for revision := range uint64(20) {
		states = append(states, newState(t, "a", revision+1))
	}
	for _, state := range states[:10] {
		require.NoError(t, p.Publish(patient(t), state))
	}
	if batch, ok := p.(publisher.StateBatchPublisher); ok {
		require.NoError(t, batch.PublishBatch(patient(t), states[10:]))
	} else {
		for _, state := range states[10:] {
			require.NoError(t, p.Publish(patient(t), state))
		}
	}
	requireReceived(t, b, 20, "a")
}
