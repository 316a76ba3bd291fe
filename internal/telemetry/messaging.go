package telemetry

import (
	"cmp"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
)

// The attributes of the semantic conventions for messaging, version 1.43. They are in development: all that may be renamed is
// in this file.
const (
	keyMessagingSystem        = attribute.Key("messaging.system")
	keyMessagingDestination   = attribute.Key("messaging.destination.name")
	keyMessagingPartition     = attribute.Key("messaging.destination.partition.id")
	keyMessagingGroup         = attribute.Key("messaging.consumer.group.name")
	keyMessagingOperationName = attribute.Key("messaging.operation.name")
	keyMessagingOperationType = attribute.Key("messaging.operation.type")
	keyMessagingBatch         = attribute.Key("messaging.batch.message_count") // only of batches
)

const (
	operationProcess = "process"
	operationSend    = "send"

	messagingSystem = "ego" // the journal is the broker, or nobody says which
	journal         = "journal"
)

func messagingAttributes(operation string, d *Delivery) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		keyMessagingSystem.String(cmp.Or(d.System, messagingSystem)),
		keyMessagingOperationName.String(operation),
		keyMessagingOperationType.String(operation),
	}
	if operation == operationProcess {
		attributes = append(attributes, keyMessagingDestination.String(journal), keyMessagingGroup.String(d.Consumer),
			keyMessagingPartition.String(strconv.FormatUint(uint64(d.Shard), 10)))
	} else {
		attributes = append(attributes, keyMessagingDestination.String(d.Consumer))
	}
	if d.Entity == "" {
		attributes = append(attributes, keyMessagingBatch.Int(d.Events))
	}
	return attributes
}
