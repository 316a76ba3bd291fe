package saga

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

const (
	recordURL = "type.googleapis.com/ego.v1.Saga"
	endURL    = "type.googleapis.com/ego.v1.SagaFinished"

	startedURL  = "type.googleapis.com/ego.v1.SagaStarted"
	receivedURL = "type.googleapis.com/ego.v1.SagaEventReceived"
)

// IsRecord reports whether an event is one of ego's own in the stream of a saga, and not of the saga's behaviour. It needs
// nothing of the payload but its type.
func IsRecord(event *egopb.Event) bool {
	return strings.HasPrefix(event.GetPersistenceId(), Prefix) && strings.HasPrefix(event.GetPayload().GetTypeUrl(), recordURL)
}

// IsEnd reports whether the newest event of a saga is its end, which a failed compensation is as well.
func IsEnd(latest *egopb.Event) bool { return latest.GetPayload().GetTypeUrl() == endURL }

// EndOf returns the status in which a saga has finished, from the last record of its stream.
func EndOf(record proto.Message) egopb.SagaStatus {
	if finished, ok := record.(*egopb.SagaFinished); ok {
		return finished.GetStatus()
	}
	return Unknown
}
