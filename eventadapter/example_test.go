package eventadapter_test

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/eventadapter"
)

// read prints what a stored event becomes.
func read(adapter eventadapter.EventAdapter, typeName string, message proto.Message) {
	chain, err := eventadapter.NewChain(adapter)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := proto.Marshal(message)
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := eventadapter.NewEvent(&egopb.Event{PersistenceId: "counter-1", SequenceNumber: 7}, typeName, value)
	events, err := chain.Apply(context.Background(), stored)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(events), "of", stored.Type())
	for _, event := range events {
		message, err := event.Message()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(" ", event.SequenceNumber, event.Type(), message.ProtoReflect().Get(message.ProtoReflect().Descriptor().Fields().ByName("value")))
	}
}

// Counters once counted in dozens, with another type.
func ExampleUpcast() {
	read(eventadapter.Upcast(func(dozens *wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(12 * int64(dozens.GetValue())), nil
	}), "google.protobuf.Int32Value", wrapperspb.Int32(2))
	// Output:
	// 1 of google.protobuf.Int32Value
	//   7 google.protobuf.Int64Value 24
}

// The type has got another name; the old one has no Go code any more.
func ExampleRename() {
	read(eventadapter.Rename("counters.v1.Added", "google.protobuf.Int64Value"), "counters.v1.Added", wrapperspb.Int64(5))
	// Output:
	// 1 of counters.v1.Added
	//   7 google.protobuf.Int64Value 5
}

// One event of the past is two today, at one number.
func ExampleSplit() {
	read(eventadapter.Split(func(name *wrapperspb.StringValue) ([]proto.Message, error) {
		return []proto.Message{wrapperspb.String(name.GetValue()[:3]), wrapperspb.String(name.GetValue()[4:])}, nil
	}), "google.protobuf.StringValue", wrapperspb.String("Ada Lovelace"))
	// Output:
	// 2 of google.protobuf.StringValue
	//   7 google.protobuf.StringValue Ada
	//   7 google.protobuf.StringValue Lovelace
}

// The event means nothing any more.
func ExampleDrop() {
	read(eventadapter.Drop("counters.v1.Looked"), "counters.v1.Looked", wrapperspb.Bool(true))
	// Output:
	// 0 of counters.v1.Looked
}

// Events of versions 0 and 1 counted from zero; the type has stayed.
func ExampleVersions() {
	_, err := eventadapter.NewChain(eventadapter.Upcast(func(old *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(old.GetValue() + 1), nil
	}))
	fmt.Println(err)
	read(eventadapter.Upcast(func(old *wrapperspb.Int64Value) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(old.GetValue() + 1), nil
	}, eventadapter.Versions(0, 1)), "google.protobuf.Int64Value", wrapperspb.Int64(4))
	// Output:
	// eventadapter: Upcast google.protobuf.Int64Value to google.protobuf.Int64Value: it makes what it takes, so it would change today's events as well; restrict it with Versions
	// 1 of google.protobuf.Int64Value
	//   7 google.protobuf.Int64Value 5
}
