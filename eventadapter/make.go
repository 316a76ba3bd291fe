package eventadapter

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

var errNoMessage = errors.New("the adapter returned a nil message; take Drop to make nothing of an event")

// Upcast turns messages of an older type into those of a newer one. The function must not modify its argument. Old and New
// may be the same type when the adapter is restricted with [Versions].
func Upcast[Old, New proto.Message](convert func(old Old) (New, error), opts ...Option) EventAdapter {
	from, err := typeOf[Old]()
	to, toErr := typeOf[New]()
	step := Step{Name: fmt.Sprintf("Upcast %s to %s", from, to), From: from, To: []protoreflect.FullName{to}, Err: errors.Join(err, toErr)}
	if convert == nil {
		step.Err = errors.Join(step.Err, errors.New("the function is nil"))
	}
	return newAdapter(step, opts, func(_ context.Context, event *Event) ([]*Event, error) {
		old, err := messageOf[Old](event)
		if err != nil {
			return nil, err
		}
		message, err := convert(old)
		if err != nil {
			return nil, err
		}
		if !message.ProtoReflect().IsValid() {
			return nil, errNoMessage
		}
		return []*Event{event.WithMessage(message)}, nil
	})
}

// Split turns one message of an older type into any number of others, in order. The function must not modify its
// argument. The types that it makes are not known before, so [NewChain] cannot check them.
func Split[Old proto.Message](split func(old Old) ([]proto.Message, error), opts ...Option) EventAdapter {
	from, err := typeOf[Old]()
	step := Step{Name: fmt.Sprintf("Split %s", from), From: from, Err: err}
	if split == nil {
		step.Err = errors.Join(step.Err, errors.New("the function is nil"))
	}
	return newAdapter(step, opts, func(_ context.Context, event *Event) ([]*Event, error) {
		old, err := messageOf[Old](event)
		if err != nil {
			return nil, err
		}
		messages, err := split(old)
		if err != nil {
			return nil, err
		}
		return withMessages(event, messages)
	})
}

// Dynamic turns messages of a type that has no Go code any more into any number of others, in order. The descriptor is that
// of the old type, such as from a descriptor set that was kept. It has the rules of [Split].
func Dynamic(old protoreflect.MessageDescriptor, convert func(old *dynamicpb.Message) ([]proto.Message, error), opts ...Option) EventAdapter {
	step := Step{Name: "Dynamic"}
	if old == nil || convert == nil {
		step.Err = errors.New("the descriptor or the function is nil")
	} else {
		step.From, step.Name = old.FullName(), fmt.Sprintf("Dynamic %s", old.FullName())
	}
	return newAdapter(step, opts, func(_ context.Context, event *Event) ([]*Event, error) {
		message := dynamicpb.NewMessage(old)
		if err := event.Unmarshal(message); err != nil {
			return nil, err
		}
		messages, err := convert(message)
		if err != nil {
			return nil, err
		}
		return withMessages(event, messages)
	})
}

// Rename reads messages of one type as another with compatible fields. Both are named by full name or type url; the old
// one needs no Go code.
func Rename(oldTypeURL, newTypeURL string, opts ...Option) EventAdapter {
	from, to := nameOf(oldTypeURL), nameOf(newTypeURL)
	step := Step{Name: fmt.Sprintf("Rename %s to %s", from, to), From: from, To: []protoreflect.FullName{to}}
	if !from.IsValid() || !to.IsValid() {
		step.Err = fmt.Errorf("%q and %q are not both names of messages", oldTypeURL, newTypeURL)
	}
	return newAdapter(step, opts, func(_ context.Context, event *Event) ([]*Event, error) {
		renamed, err := event.WithType(string(to))
		if err != nil {
			return nil, err
		}
		return []*Event{renamed}, nil
	})
}

// Drop makes nothing of events of a type, named by full name or type url; it needs no Go code.
func Drop(typeURL string, opts ...Option) EventAdapter {
	from := nameOf(typeURL)
	step := Step{Name: fmt.Sprintf("Drop %s", from), From: from, Drops: true}
	if !from.IsValid() {
		step.Err = fmt.Errorf("%q is not the name of a message", typeURL)
	}
	return newAdapter(step, opts, func(context.Context, *Event) ([]*Event, error) { return nil, nil })
}

// typeOf returns the name of a generated message type.
func typeOf[M proto.Message]() (name protoreflect.FullName, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%T is not a generated message", *new(M))
		}
	}()
	var zero M
	return zero.ProtoReflect().Descriptor().FullName(), nil
}

// messageOf returns the message of an event as its generated type.
func messageOf[M proto.Message](event *Event) (M, error) {
	var none M
	if known, ok := event.message.(M); ok {
		return known, nil
	}
	message, ok := none.ProtoReflect().New().Interface().(M)
	if !ok {
		return none, fmt.Errorf("%T is not a generated message", none)
	}
	return message, event.Unmarshal(message)
}

func withMessages(event *Event, messages []proto.Message) ([]*Event, error) {
	events := make([]*Event, len(messages))
	for i, message := range messages {
		if message == nil || !message.ProtoReflect().IsValid() {
			return nil, errNoMessage
		}
		events[i] = event.WithMessage(message)
	}
	return events, nil
}
