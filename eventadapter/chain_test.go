package eventadapter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/eventadapter"
)

// The steps of the tests: an Int32Value is the oldest shape, then Int64Value, then StringValue.
func widen(opts ...eventadapter.Option) eventadapter.EventAdapter {
	return eventadapter.Upcast(func(old *wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(10 * int64(old.GetValue())), nil
	}, opts...)
}

func spell(opts ...eventadapter.Option) eventadapter.EventAdapter {
	return eventadapter.Upcast(func(old *wrapperspb.Int64Value) (*wrapperspb.StringValue, error) {
		return wrapperspb.String(string(rune('a' + old.GetValue()))), nil
	}, opts...)
}

func chain(t testing.TB, adapters ...eventadapter.EventAdapter) *eventadapter.Chain {
	t.Helper()
	c, err := eventadapter.NewChain(adapters...)
	require.NoError(t, err)
	return c
}

func stored(t testing.TB, message proto.Message, version uint32) *eventadapter.Event {
	t.Helper()
	value, err := proto.Marshal(message)
	require.NoError(t, err)
	record := &egopb.Event{PersistenceId: "a", SequenceNumber: 7, Kind: "k", TimeUnixNano: 5, SchemaVersion: version}
	return eventadapter.NewEvent(record, "type.googleapis.com/"+string(message.ProtoReflect().Descriptor().FullName()), value)
}

// apply returns the messages that an event becomes.
func apply(t testing.TB, c *eventadapter.Chain, event *eventadapter.Event) (messages []proto.Message) {
	t.Helper()
	events, err := c.Apply(t.Context(), event)
	require.NoError(t, err)
	for _, e := range events {
		require.Equal(t, "a", e.PersistenceID)
		require.EqualValues(t, 7, e.SequenceNumber)
		require.Equal(t, time.Unix(0, 5), e.Time)
		message, err := e.Message()
		require.NoError(t, err)
		messages = append(messages, message)
	}
	return messages
}

func requireBecomes(t testing.TB, c *eventadapter.Chain, event *eventadapter.Event, want ...proto.Message) {
	t.Helper()
	got := apply(t, c, event)
	require.Len(t, got, len(want))
	for i := range want {
		require.True(t, proto.Equal(want[i], got[i]), "want %v, got %v", want[i], got[i])
	}
}

func TestChain(t *testing.T) {
	t.Parallel()

	t.Run("StepsFollowEachOther", func(t *testing.T) {
		t.Parallel()
		c := chain(t, widen(), spell())
		requireBecomes(t, c, stored(t, wrapperspb.Int32(0), 0), wrapperspb.String("a"))
		requireBecomes(t, c, stored(t, wrapperspb.Int64(2), 0), wrapperspb.String("c"))
		requireBecomes(t, c, stored(t, wrapperspb.String("x"), 0), wrapperspb.String("x"))
		requireBecomes(t, c, stored(t, wrapperspb.Bool(true), 0), wrapperspb.Bool(true))
	})
	t.Run("Takes", func(t *testing.T) {
		t.Parallel()
		c := chain(t, widen())
		require.True(t, c.Takes("type.googleapis.com/google.protobuf.Int32Value"))
		require.True(t, c.Takes("google.protobuf.Int32Value"))
		require.False(t, c.Takes("type.googleapis.com/google.protobuf.Int64Value"))
		require.False(t, chain(t).Takes("google.protobuf.Int32Value"))
		require.False(t, (*eventadapter.Chain)(nil).Takes("google.protobuf.Int32Value"))
		require.True(t, chain(t, custom{step: eventadapter.Step{Drops: true}}).Takes("anything"))
	})
	t.Run("Versions", func(t *testing.T) {
		t.Parallel()
		bump := func(by int64, first, last uint32) eventadapter.EventAdapter {
			return eventadapter.Upcast(func(old *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
				return wrapperspb.Int64(old.GetValue() + by), nil
			}, eventadapter.Versions(first, last))
		}
		c := chain(t, bump(1, 0, 1), bump(10, 2, 2), bump(100, 5, 5))
		for version, want := range []int64{11, 11, 10, 0, 0, 100, 0} {
			requireBecomes(t, c, stored(t, wrapperspb.Int64(0), uint32(version)), wrapperspb.Int64(want))
		}
	})
	t.Run("SplitAndDrop", func(t *testing.T) {
		t.Parallel()
		c := chain(t,
			eventadapter.Split(func(old *wrapperspb.StringValue) ([]proto.Message, error) {
				return []proto.Message{wrapperspb.Bool(true), wrapperspb.Int32(3), wrapperspb.Int64(4)}, nil
			}),
			eventadapter.Drop("type.googleapis.com/google.protobuf.BoolValue"),
			widen(),
		)
		requireBecomes(t, c, stored(t, wrapperspb.String("x"), 0), wrapperspb.Int64(30), wrapperspb.Int64(4))
		requireBecomes(t, c, stored(t, wrapperspb.Bool(false), 0))
	})
	t.Run("TypesWithoutCode", func(t *testing.T) {
		t.Parallel()
		value, err := proto.Marshal(wrapperspb.Int64(5))
		require.NoError(t, err)
		old := eventadapter.NewEvent(&egopb.Event{PersistenceId: "a", SequenceNumber: 7, TimeUnixNano: 5}, "type.googleapis.com/old.Amount", value)
		_, err = old.Message()
		require.ErrorIs(t, err, protoregistry.NotFound)
		requireBecomes(t, chain(t, eventadapter.Rename("old.Amount", "type.googleapis.com/google.protobuf.Int64Value"), spell()), old, wrapperspb.String("f"))
		requireBecomes(t, chain(t, eventadapter.Drop("old.Amount")), old)

		descriptor := wrapperspb.Int64(0).ProtoReflect().Descriptor() // stands for one that was kept
		dynamic := eventadapter.Dynamic(descriptor, func(old *dynamicpb.Message) ([]proto.Message, error) {
			amount := old.Get(descriptor.Fields().ByName("value")).Int()
			return []proto.Message{wrapperspb.UInt64(uint64(amount))}, nil
		})
		requireBecomes(t, chain(t, dynamic), stored(t, wrapperspb.Int64(5), 0), wrapperspb.UInt64(5))
	})
	t.Run("FailuresAreTyped", func(t *testing.T) { // G11
		t.Parallel()
		refused := errors.New("refused")
		for name, fail := range map[string]func(*wrapperspb.Int32Value) (*wrapperspb.Int64Value, error){
			"Error": func(*wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) { return nil, refused },
			"Panic": func(*wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) { panic(refused) },
			"Nil":   func(*wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) { return nil, nil },
		} {
			_, err := chain(t, eventadapter.Upcast(fail)).Apply(t.Context(), stored(t, wrapperspb.Int32(1), 0))
			var failed *eventadapter.Error
			require.ErrorAs(t, err, &failed, name)
			require.Equal(t, "a", failed.PersistenceID)
			require.EqualValues(t, 7, failed.SequenceNumber)
			require.EqualValues(t, "google.protobuf.Int32Value", failed.Type)
			require.ErrorContains(t, err, "Upcast google.protobuf.Int32Value to google.protobuf.Int64Value")
			if name != "Nil" {
				require.ErrorIs(t, err, refused)
			}
		}
		broken := eventadapter.NewEvent(&egopb.Event{}, "google.protobuf.Int32Value", []byte{0xff})
		_, err := chain(t, widen()).Apply(t.Context(), broken)
		require.Error(t, err)
	})
}

// custom is an adapter of a user's own.
type custom struct {
	step eventadapter.Step
}

func (c custom) Step() eventadapter.Step { return c.step }

func (c custom) Adapt(context.Context, *eventadapter.Event) ([]*eventadapter.Event, error) {
	return nil, nil
}

func TestNewChain(t *testing.T) {
	t.Parallel()
	same := func(opts ...eventadapter.Option) eventadapter.EventAdapter {
		return eventadapter.Upcast(func(old *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) { return old, nil }, opts...)
	}
	for name, c := range map[string]struct {
		adapters []eventadapter.EventAdapter
		want     string // empty: nothing is wrong
	}{
		"Empty":              {nil, ""},
		"InOrder":            {[]eventadapter.EventAdapter{widen(), spell()}, ""},
		"VersionsInOrder":    {[]eventadapter.EventAdapter{same(eventadapter.Versions(0, 0)), same(eventadapter.Versions(1, 3))}, ""},
		"VersionsThenType":   {[]eventadapter.EventAdapter{same(eventadapter.Versions(0, 0)), spell()}, ""},
		"RenameToAdapted":    {[]eventadapter.EventAdapter{eventadapter.Rename("x.Old", "x.Older"), eventadapter.Drop("x.Older")}, ""},
		"FedTooLate":         {[]eventadapter.EventAdapter{spell(), eventadapter.Rename("x.Old", "google.protobuf.Int64Value"), spell()}, "stands before Rename"},
		"Nil":                {[]eventadapter.EventAdapter{nil}, "adapter 1 is nil"},
		"OutOfOrder":         {[]eventadapter.EventAdapter{spell(), widen()}, "it stands before Upcast google.protobuf.Int32Value"},
		"VersionsOutOfOrder": {[]eventadapter.EventAdapter{same(eventadapter.Versions(1, 1)), same(eventadapter.Versions(0, 0))}, "it stands before"},
		"Hidden":             {[]eventadapter.EventAdapter{widen(), widen()}, "no event can reach it: Upcast"},
		"HiddenByDrop":       {[]eventadapter.EventAdapter{eventadapter.Drop("google.protobuf.Int32Value"), widen()}, "no event can reach it: Drop"},
		"HiddenVersions":     {[]eventadapter.EventAdapter{widen(eventadapter.Versions(0, 5)), widen(eventadapter.Versions(2, 3))}, "no event can reach it"},
		"NotHidden":          {[]eventadapter.EventAdapter{widen(eventadapter.Versions(0, 2)), widen(eventadapter.Versions(3, 5))}, ""},
		"TheRest":            {[]eventadapter.EventAdapter{widen(eventadapter.Versions(0, 2)), widen()}, ""},
		"Twice":              {[]eventadapter.EventAdapter{same(eventadapter.Versions(1, 2)), same(eventadapter.Versions(1, 2))}, "no event can reach it"},
		"Overlapping":        {[]eventadapter.EventAdapter{widen(eventadapter.Versions(0, 2)), widen(eventadapter.Versions(2, 5))}, "Int64Value takes versions 2 to 2 as well"},
		"OverlappingSteps":   {[]eventadapter.EventAdapter{same(eventadapter.Versions(0, 3)), same(eventadapter.Versions(4, 4)), same(eventadapter.Versions(2, 6))}, "takes versions 2 to 3 as well"},
		"OverlappingDrop":    {[]eventadapter.EventAdapter{eventadapter.Drop("google.protobuf.Int32Value", eventadapter.Versions(1, 1)), widen(eventadapter.Versions(0, 2))}, "takes versions 1 to 1 as well"},
		"OverlappingAfterwards": {[]eventadapter.EventAdapter{
			same(eventadapter.Versions(0, 1)), eventadapter.Rename("x.Old", "google.protobuf.Int64Value"), same(eventadapter.Versions(0, 2)),
		}, "it stands before Rename"},
		"ItsOwnResults": {[]eventadapter.EventAdapter{same()}, "it makes what it takes"},
		"Circle": {[]eventadapter.EventAdapter{
			eventadapter.Rename("x.A", "x.B"), eventadapter.Rename("x.B", "x.C"), eventadapter.Rename("x.C", "x.A"),
		}, "in a circle: x.A → x.B → x.C → x.A"},
		"DeadEnd":       {[]eventadapter.EventAdapter{eventadapter.Rename("x.A", "x.B")}, "leads to x.B, which is not linked"},
		"BadName":       {[]eventadapter.EventAdapter{eventadapter.Rename("", "x.B")}, "are not both names of messages"},
		"BadDrop":       {[]eventadapter.EventAdapter{eventadapter.Drop("a b")}, `"a b" is not the name of a message`},
		"BadVersions":   {[]eventadapter.EventAdapter{widen(eventadapter.Versions(3, 2))}, "versions 3 to 2 are no range"},
		"NotConcrete":   {[]eventadapter.EventAdapter{eventadapter.Split(func(proto.Message) ([]proto.Message, error) { return nil, nil })}, "is not a generated message"},
		"NilFunction":   {[]eventadapter.EventAdapter{eventadapter.Split[*wrapperspb.Int64Value](nil)}, "the function is nil"},
		"NilDescriptor": {[]eventadapter.EventAdapter{eventadapter.Dynamic(nil, nil)}, "is nil"},
		"Custom":        {[]eventadapter.EventAdapter{custom{}, widen()}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := eventadapter.NewChain(c.adapters...)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}
