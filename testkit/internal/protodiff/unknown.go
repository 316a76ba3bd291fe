package protodiff

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// unknown compares fields that the type does not know, each with its tags as it is on the wire. As for [proto.Equal], the
// order between different fields does not matter.
func (c *comparison) unknown(path string, want, got protoreflect.RawFields) {
	if bytes.Equal(want, got) {
		return
	}
	byNumber := map[protoreflect.FieldNumber][2][]byte{}
	for side, raw := range [2]protoreflect.RawFields{want, got} {
		for len(raw) > 0 {
			number, _, n := protowire.ConsumeField(raw)
			if n < 0 {
				number, n = 0, len(raw) // not a field
			}
			sides := byNumber[number]
			sides[side] = append(sides[side], raw[:n]...)
			byNumber[number] = sides
			raw = raw[n:]
		}
	}
	for _, number := range slices.Sorted(maps.Keys(byNumber)) {
		if sides := byNumber[number]; !bytes.Equal(sides[0], sides[1]) {
			w, g := rawExcerpts(sides[0], sides[1])
			c.add(join(path, fmt.Sprintf("unknown field %d", number)), w, g)
		}
	}
}

// rawExcerpts writes two different sequences of bytes in hexadecimal digits.
func rawExcerpts(want, got []byte) (string, string) {
	start := cut(want, got)
	return rawExcerpt(want, start), rawExcerpt(got, start)
}

func rawExcerpt(raw []byte, start int) string {
	if len(raw) == 0 {
		return unset
	}
	before, part, after := window(raw, start)
	return fmt.Sprintf("%s0x%x%s", before, part, after)
}
