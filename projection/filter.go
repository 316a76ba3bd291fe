package projection

import (
	"slices"

	"google.golang.org/protobuf/proto"
)

// A Filter selects events. An empty list selects all; an event must match every list that is not empty. Events that do not
// match are passed over: they count as handled.
type Filter struct {
	Kinds      []string // names of the behaviours that wrote them
	Tags       []string // the event has at least one of them
	EventTypes []string // full names of messages, after adapters; see [TypeNames]
}

// TypeNames returns the full names of messages, for [Filter.EventTypes].
func TypeNames(messages ...proto.Message) []string {
	names := make([]string, len(messages))
	for i, message := range messages {
		names[i] = string(message.ProtoReflect().Descriptor().FullName())
	}
	return names
}

// MatchesRecord reports whether an event of a kind with tags can match. It needs nothing of the payload.
func (f *Filter) MatchesRecord(kind string, tags []string) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, kind) {
		return false
	}
	return len(f.Tags) == 0 || slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(f.Tags, tag) })
}

// MatchesMessage reports whether an opened event matches.
func (f *Filter) MatchesMessage(message proto.Message) bool {
	return len(f.EventTypes) == 0 || slices.Contains(f.EventTypes, string(message.ProtoReflect().Descriptor().FullName()))
}
