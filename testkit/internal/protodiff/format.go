package protodiff

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxFormat is about how many bytes of a message are written.
const maxFormat = 400

// Format writes a message on one line: its type, and the fields that are set. Long ones are cut off.
func Format(message proto.Message) string {
	if isNil(message) {
		return typeOf(message)
	}
	w := &writer{}
	w.raw(string(message.ProtoReflect().Descriptor().FullName()))
	w.message(message.ProtoReflect())
	return w.String()
}

// formatValue writes a value of a field, or one element of it when the field is a list.
func formatValue(field protoreflect.FieldDescriptor, value protoreflect.Value) string {
	w := &writer{}
	w.value(field, value)
	return w.String()
}

// writer writes messages until it has written enough.
type writer struct {
	out strings.Builder
}

func (w *writer) full() bool { return w.out.Len() >= maxFormat }

func (w *writer) raw(text string) {
	if !w.full() {
		w.out.WriteString(text)
	}
}

func (w *writer) String() string {
	if w.full() {
		return w.out.String() + ellipsis
	}
	return w.out.String()
}

func (w *writer) message(m protoreflect.Message) {
	if isMoment(m) {
		w.raw("{" + moment(m) + "}")
		return
	}
	w.raw("{")
	if content := openAny(m); content != nil {
		w.raw("(" + string(content.Descriptor().FullName()) + ")")
		w.message(content)
	} else {
		w.fields(m)
	}
	w.raw("}")
}

// openAny returns what a message holds when it is a google.protobuf.Any that can be opened, else nil.
func openAny(m protoreflect.Message) protoreflect.Message {
	if !isAny(m.Descriptor()) || len(m.GetUnknown()) > 0 {
		return nil
	}
	return open(m)
}

func (w *writer) fields(m protoreflect.Message) {
	separator := ""
	for _, field := range populated(m) {
		if w.full() {
			return
		}
		w.raw(separator + field.TextName() + ":")
		separator = " "
		switch value := m.Get(field); {
		case field.IsMap():
			w.mapping(field, value.Map())
		case field.IsList():
			w.list(field, value.List())
		default:
			w.value(field, value)
		}
	}
	if raw := m.GetUnknown(); len(raw) > 0 {
		w.raw(separator + "unknown:" + rawExcerpt(raw, 0))
	}
}

func (w *writer) list(field protoreflect.FieldDescriptor, list protoreflect.List) {
	w.raw("[")
	for i := 0; i < list.Len() && !w.full(); i++ {
		if i > 0 {
			w.raw(", ")
		}
		w.value(field, list.Get(i))
	}
	w.raw("]")
}

func (w *writer) mapping(field protoreflect.FieldDescriptor, m protoreflect.Map) {
	w.raw("{")
	for i, key := range sortedKeys(m) {
		if w.full() {
			break
		}
		if i > 0 {
			w.raw(", ")
		}
		w.raw(formatKey(key) + ":")
		w.value(field.MapValue(), m.Get(key))
	}
	w.raw("}")
}

func (w *writer) value(field protoreflect.FieldDescriptor, value protoreflect.Value) {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.message(value.Message())
	case protoreflect.StringKind:
		w.raw(excerpt(value.String(), 0, strconv.Quote))
	case protoreflect.BytesKind:
		w.raw(excerpt(string(value.Bytes()), 0, strconv.Quote))
	case protoreflect.EnumKind:
		w.raw(formatEnum(field.Enum(), value.Enum()))
	case protoreflect.FloatKind:
		w.raw(strconv.FormatFloat(value.Float(), 'g', -1, 32))
	case protoreflect.DoubleKind:
		w.raw(strconv.FormatFloat(value.Float(), 'g', -1, 64))
	default:
		w.raw(fmt.Sprint(value.Interface()))
	}
}

// formatEnum is the name of an enum value, or its number when it has none.
func formatEnum(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	if value := enum.Values().ByNumber(number); value != nil {
		return string(value.Name())
	}
	return strconv.Itoa(int(number))
}

func formatKey(key protoreflect.MapKey) string {
	if text, ok := key.Interface().(string); ok {
		return strconv.Quote(text)
	}
	return key.String()
}

// sortedKeys returns the keys of all the maps, each once, in order.
func sortedKeys(ms ...protoreflect.Map) []protoreflect.MapKey {
	var keys []protoreflect.MapKey
	for i, m := range ms {
		m.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
			if i == 0 || !ms[0].Has(key) {
				keys = append(keys, key)
			}
			return true
		})
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b protoreflect.MapKey) int {
	switch x := a.Interface().(type) {
	case bool:
		return strings.Compare(a.String(), b.String()) // false before true
	case string:
		return strings.Compare(x, b.String())
	case uint32, uint64:
		return cmp.Compare(a.Uint(), b.Uint())
	default:
		return cmp.Compare(a.Int(), b.Int())
	}
}
