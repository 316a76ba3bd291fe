package saga

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// ErrUnread reports that a saga cannot say whether it has handled a late event, because its stream cannot be read.
var ErrUnread = errors.New("ego: the stream of the saga cannot be read")

// dealtWith reports whether an event that comes late, after others of its shard, was handled before or is none of the saga's
// business. The positions cannot say: they have passed it either way. The stream can, as what an event led to is recorded
// behind the event, and whoever else runs the saga has to add to the stream, which the store refuses to one of two.
func (m *Machine) dealtWith(ctx context.Context, shard uint32, position uint64) (bool, error) {
	if m.config.Stream == nil {
		return true, nil
	}
	for record, err := range m.config.Stream(ctx) {
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrUnread, err)
		}
		if names(record, shard, position) {
			return true, nil
		}
	}
	return false, nil
}

// names reports whether a record of a saga says that an event was handled, or that the saga began after it.
func names(record proto.Message, shard uint32, position uint64) bool {
	switch r := record.(type) {
	case *egopb.SagaStarted:
		return position <= positionOf(r.GetPositions(), shard)
	case *egopb.SagaEventReceived:
		return r.GetShard() == shard && r.GetPosition() == position
	default:
		return false
	}
}

// SaysWhatCame reports whether an event in the stream of a saga is a record of an event that came, or of the beginning.
func SaysWhatCame(event *egopb.Event) bool {
	url := event.GetPayload().GetTypeUrl()
	return url == startedURL || url == receivedURL
}

// A Stream reads what a saga has recorded, or what of it [SaysWhatCame].
type Stream func(ctx context.Context) iter.Seq2[proto.Message, error]
