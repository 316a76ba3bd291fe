package pulsar

import (
	"fmt"
	"math"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/backoff"
	"github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/prometheus/client_golang/prometheus"
)

// maxBatch is how many messages a batch holds.
const maxBatch = 1000

// never is an interval of what is not to happen by itself.
const never = time.Duration(math.MaxInt64)

func newClient(config *Config) (pulsar.Client, error) {
	options := config.ClientOptions
	options.URL = config.URL
	options.MemoryLimitBytes = -1 // rounds bound it
	if options.Logger == nil {
		options.Logger = log.DefaultNopLogger()
	}
	if options.MetricsRegisterer == nil {
		options.MetricsRegisterer = prometheus.NewRegistry() // and not the program's
	}
	if options.OperationTimeout == 0 {
		options.OperationTimeout = 10 * time.Second
	}
	if options.ConnectionTimeout == 0 {
		options.ConnectionTimeout = 10 * time.Second // without one, it is the kernel's: minutes
	}
	client, err := pulsar.NewClient(options)
	if err != nil {
		return nil, fmt.Errorf("pulsar: %w", err)
	}
	return client, nil
}

// producerOptions returns the options of the producer for a topic. A function is called when its connection is lost.
func producerOptions(config *Config, topic, name string, lost func()) pulsar.ProducerOptions {
	var options pulsar.ProducerOptions
	if config.Producer != nil {
		config.Producer(&options)
	}
	options.Topic = topic
	options.Name = name
	options.Schema = nil // the body is bytes; its content type is a property
	options.EnableChunking = false
	options.ProducerAccessMode = pulsar.ProducerAccessModeShared
	options.SendTimeout = -1 // a message that is given up alone would be overtaken by those behind it
	options.DisableBlockIfQueueFull = false
	options.MaxPendingMessages = maxBatch
	options.MessageRouter = route
	options.PartitionsAutoDiscoveryInterval = never
	options.DisableBatching = config.KeyShared
	options.BatcherBuilderType = pulsar.DefaultBatchBuilder
	options.BatchingMaxMessages = maxBatch
	options.BatchingMaxSize = uint(config.MaxMessageBytes) // checked to be above zero
	options.BatchingMaxPublishDelay = never                // a round is flushed as a whole

	// The producer does not connect again. That its client is about to is known by its asking how.
	options.MaxReconnectToBroker = new(uint)
	options.BackOffPolicyFunc = func() backoff.Policy {
		lost()
		return backoff.NewDefaultBackoff()
	}
	return options
}
