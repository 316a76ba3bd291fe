package publisher

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// A Stream is what those follow who come and go: browsers and services that connect, and that remember themselves how far
// they have come. An engine has one of events and one of states.
type Stream interface {
	// Now returns the cursor behind everything that exists.
	Now(ctx context.Context) (Cursor, error)

	// After streams what comes after a cursor and matches a selection, live, in the order of each shard, so in order per
	// entity. What cannot be opened is an error, and the stream goes on when the caller does. It ends with the context, and
	// after an error of the store.
	After(ctx context.Context, cursor Cursor, selection Selection) iter.Seq2[*Item, error]
}

// A Selection says what of a stream is wanted. An empty list wants all.
type Selection struct {
	projection.Filter
	Entities []string
}

// An Item is an event or a state, in the clear, or neither: then it tells how far the stream has come without anything that
// was selected. The messages must not be modified.
type Item struct {
	Shard    uint32
	Position uint64 // where the shard can be resumed once the item is handled
	Event    *egopb.Event
	State    *egopb.DurableState
}

// A Cursor is how far a reader of a stream has come: a position in each shard. A shard that is missing has not begun.
type Cursor map[uint32]uint64

// String returns the cursor as text, for [ParseCursor]: "0:17,3:5". That of the beginning is empty.
func (c Cursor) String() string {
	var b strings.Builder
	for _, shard := range slices.Sorted(maps.Keys(c)) {
		if c[shard] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(shard), 10))
		b.WriteByte(':')
		b.WriteString(strconv.FormatUint(c[shard], 10))
	}
	return b.String()
}

// maxCursorShards keeps the text of a stranger from taking much memory.
const maxCursorShards = 1 << 16

// ParseCursor reads the text of a cursor.
func ParseCursor(text string) (Cursor, error) {
	c := make(Cursor)
	if text == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, ":")
		shard, err := strconv.ParseUint(name, 10, 32)
		position, err2 := strconv.ParseUint(value, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("publisher: %q is no cursor: %w", text, err)
		}
		if c[uint32(shard)] = position; len(c) > maxCursorShards {
			return nil, errors.New("publisher: the cursor has too many shards")
		}
	}
	return c, nil
}
