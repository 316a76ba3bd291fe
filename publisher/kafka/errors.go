package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/actorkeep/ego/publisher"
)

// classify says whose fault an error of a record is.
func classify(topic string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("kafka: topic %q: %w", topic, err)
	for _, rejected := range []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp} {
		if errors.Is(err, rejected) {
			return publisher.Reject(err)
		}
	}
	for _, either := range []error{kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.TopicAuthorizationFailed, kerr.InvalidTopicException} {
		if errors.Is(err, either) {
			return err // of this topic alone, or of all: others will tell
		}
	}
	return publisher.Unavailable(err)
}
