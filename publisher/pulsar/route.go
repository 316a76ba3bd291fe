package pulsar

import (
	"unicode/utf16"

	"github.com/apache/pulsar-client-go/pulsar"
)

// route returns the partition of a message.
func route(m *pulsar.ProducerMessage, topic pulsar.TopicMetadata) int {
	return partitionOf(m.Key, topic.NumPartitions())
}

// partitionOf returns the partition of a key: where the Java client puts it, which is by Java's hash of the string without its
// sign. The Go client's own router differs for ids that are not ASCII, and for half of the others when the number of
// partitions is no power of two.
func partitionOf(key string, partitions uint32) int {
	if partitions <= 1 {
		return 0
	}
	var hash uint32
	for _, unit := range utf16.Encode([]rune(key)) {
		hash = 31*hash + uint32(unit)
	}
	return int((hash & 0x7fffffff) % partitions)
}
