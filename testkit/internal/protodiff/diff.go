// Package protodiff says in words how two protobuf messages differ, and writes messages in a form that never changes.
//
// A path names a place in a message: the fields to it, with list[2], map["key"], extensions as [full.name], and the
// content of a google.protobuf.Any as the field followed by its type in parentheses.
package protodiff

import (
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What stands in place of a value that is not there.
const (
	unset   = "unset"   // a field with presence
	nothing = "nothing" // an element of a list or a map
)

// A Difference is one place in which two messages differ. The two texts are never the same.
type Difference struct {
	Path      string // empty for the messages themselves
	Want, Got string
}

// Compare returns the places in which two messages differ, in the order of the fields. There are none exactly when
// [proto.Equal] holds.
func Compare(want, got proto.Message) []Difference {
	c := &comparison{}
	switch {
	case isNil(want) && isNil(got):
		if !proto.Equal(want, got) {
			c.add("", typeOf(want), otherwise(typeOf(want), typeOf(got), "another version of it"))
		}
	case isNil(want) || isNil(got):
		c.add("", Format(want), Format(got))
	case want.ProtoReflect().Descriptor() != got.ProtoReflect().Descriptor():
		c.add("", Format(want), otherwise(Format(want), Format(got), "another version of it"))
	default:
		c.message("", want.ProtoReflect(), got.ProtoReflect())
	}
	return c.differences
}

// comparison gathers differences.
type comparison struct {
	differences []Difference
}

func (c *comparison) add(path, want, got string) {
	c.differences = append(c.differences, Difference{Path: path, Want: want, Got: got})
}

// message compares two messages of the same type.
func (c *comparison) message(path string, want, got protoreflect.Message) {
	switch {
	case isMoment(want, got):
		if w, g := moment(want), moment(got); w != g {
			c.add(path, w, g)
		}
	case isAny(want.Descriptor()):
		c.payload(path, want, got)
	default:
		c.fields(path, want, got)
	}
}

func (c *comparison) fields(path string, want, got protoreflect.Message) {
	told := map[protoreflect.FullName]bool{} // oneofs that were compared
	for _, field := range populated(want, got) {
		group := field.ContainingOneof()
		if group == nil || group.IsSynthetic() {
			c.field(child(path, field), field, want, got)
			continue
		}
		if !told[group.FullName()] {
			told[group.FullName()] = true
			c.oneof(path, group, want, got)
		}
	}
	c.unknown(path, want.GetUnknown(), got.GetUnknown())
}

// populated returns the fields that are set in at least one of the messages: those of the type in the order of its
// declaration, then extensions by number.
func populated(messages ...protoreflect.Message) []protoreflect.FieldDescriptor {
	var fields []protoreflect.FieldDescriptor
	seen := map[protoreflect.FullName]bool{}
	for _, message := range messages {
		message.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			if !seen[field.FullName()] {
				seen[field.FullName()] = true
				fields = append(fields, field)
			}
			return true
		})
	}
	place := func(field protoreflect.FieldDescriptor) int {
		if field.IsExtension() {
			return messages[0].Descriptor().Fields().Len() + int(field.Number())
		}
		return field.Index()
	}
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return place(a) - place(b) })
	return fields
}

// oneof compares the members of a group of which each message has one at most.
func (c *comparison) oneof(path string, group protoreflect.OneofDescriptor, want, got protoreflect.Message) {
	inWant, inGot := want.WhichOneof(group), got.WhichOneof(group)
	if inWant == inGot {
		c.field(child(path, inWant), inWant, want, got)
		return
	}
	c.add(join(path, string(group.Name())), member(inWant, want), member(inGot, got))
}

// member names the member of a oneof that is set, and its value.
func member(field protoreflect.FieldDescriptor, m protoreflect.Message) string {
	if field == nil {
		return unset
	}
	return string(field.Name()) + " " + formatValue(field, m.Get(field))
}

func (c *comparison) field(path string, field protoreflect.FieldDescriptor, want, got protoreflect.Message) {
	switch {
	case field.IsMap():
		c.mapping(path, field, want.Get(field).Map(), got.Get(field).Map())
	case field.IsList():
		c.list(path, field, want.Get(field).List(), got.Get(field).List())
	case want.Has(field) && got.Has(field):
		c.value(path, field, want.Get(field), got.Get(field))
	default:
		c.add(path, formatField(field, want), formatField(field, got))
	}
}

// formatField is the value of a field that is set in only one of two messages.
func formatField(field protoreflect.FieldDescriptor, m protoreflect.Message) string {
	if field.HasPresence() && !m.Has(field) {
		return unset
	}
	return formatValue(field, m.Get(field))
}

// value compares two values that are both there.
func (c *comparison) value(path string, field protoreflect.FieldDescriptor, want, got protoreflect.Value) {
	if field.Message() != nil {
		c.message(path, want.Message(), got.Message())
		return
	}
	if want.Equal(got) {
		return
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		w, g := excerpts(want.String(), got.String())
		c.add(path, w, g)
	case protoreflect.BytesKind:
		w, g := excerpts(string(want.Bytes()), string(got.Bytes()))
		c.add(path, w, g)
	default:
		c.add(path, formatValue(field, want), formatValue(field, got))
	}
}

func (c *comparison) list(path string, field protoreflect.FieldDescriptor, want, got protoreflect.List) {
	for i := range max(want.Len(), got.Len()) {
		at := path + "[" + strconv.Itoa(i) + "]"
		switch {
		case i >= want.Len():
			c.add(at, nothing, formatValue(field, got.Get(i)))
		case i >= got.Len():
			c.add(at, formatValue(field, want.Get(i)), nothing)
		default:
			c.value(at, field, want.Get(i), got.Get(i))
		}
	}
}

func (c *comparison) mapping(path string, field protoreflect.FieldDescriptor, want, got protoreflect.Map) {
	for _, key := range sortedKeys(want, got) {
		at := path + "[" + formatKey(key) + "]"
		switch {
		case !want.Has(key):
			c.add(at, nothing, formatValue(field.MapValue(), got.Get(key)))
		case !got.Has(key):
			c.add(at, formatValue(field.MapValue(), want.Get(key)), nothing)
		default:
			c.value(at, field.MapValue(), want.Get(key), got.Get(key))
		}
	}
}

// child returns the path of a field.
func child(path string, field protoreflect.FieldDescriptor) string {
	return join(path, field.TextName())
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// otherwise returns text, or instead of it when it is what the other side says.
func otherwise(other, text, instead string) string {
	if text == other {
		return instead
	}
	return text
}

func isNil(message proto.Message) bool {
	return message == nil || !message.ProtoReflect().IsValid()
}

func typeOf(message proto.Message) string {
	if message == nil {
		return "nil"
	}
	return "nil " + string(message.ProtoReflect().Descriptor().FullName())
}
