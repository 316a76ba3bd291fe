package publisher

import (
	"errors"
	"fmt"
	"time"

	"github.com/actorkeep/ego/projection"
)

// The defaults of [Options].
const (
	DefaultBatchSize = 500
	DefaultTimeout   = 30 * time.Second
)

// Options say how the engine runs a publisher. The zero value publishes everything from the beginning.
type Options struct {
	// Filter selects what is published. The zero value selects all.
	Filter projection.Filter

	// StartFrom and FromNow are where a publisher starts that has published nothing yet, as for a projection: see
	// [projection.Options]. The default is the beginning.
	StartFrom time.Time
	FromNow   bool

	// BatchSize bounds how many events are published between two recorded offsets, which is how many may arrive twice
	// after a crash. The default is 500.
	BatchSize int

	// PullInterval is how often the store is asked for what other processes wrote, see [projection.Options].
	PullInterval time.Duration

	// Timeout bounds one call of Publish or PublishBatch. The default is 30 seconds.
	Timeout time.Duration

	// Recovery says what happens to an event that the broker rejects. The default is to park it at once.
	Recovery *projection.Recovery
}

// Validate returns all that is wrong with the options.
func (o *Options) Validate() error {
	var problems []error
	if o.Timeout < 0 {
		problems = append(problems, fmt.Errorf("publisher: timeout %v is below zero", o.Timeout))
	}
	return errors.Join(append(problems, o.projection().Validate())...)
}

// projection returns what publishers and projections have in common.
func (o *Options) projection() *projection.Options {
	return &projection.Options{
		Handler:      projection.HandlerFunc(nil),
		Filter:       o.Filter,
		BatchSize:    o.BatchSize,
		PullInterval: o.PullInterval,
		Recovery:     o.Recovery,
		StartFrom:    o.StartFrom,
		FromNow:      o.FromNow,
	}
}

// WithDefaults returns a copy in which everything that was left out has its default.
func (o *Options) WithDefaults() Options {
	c := *o
	if c.BatchSize == 0 {
		c.BatchSize = DefaultBatchSize
	}
	if c.PullInterval == 0 {
		c.PullInterval = projection.DefaultPullInterval
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Recovery == nil {
		c.Recovery = projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park))
	}
	return c
}

// Configured is a publisher that brings its own [Options].
type Configured interface{ Options() Options }

// OptionsOf returns the options that a publisher brings, or else the zero value.
func OptionsOf(p any) Options {
	if configured, ok := p.(Configured); ok {
		return configured.Options()
	}
	return Options{}
}

// SystemOf returns what a publisher says that it publishes to, see [SystemNamer]; it is empty when the publisher says nothing.
func SystemOf(p any) string {
	switch c := p.(type) {
	case *configuredEvents:
		return SystemOf(c.EventPublisher)
	case *configuredEventBatches:
		return SystemOf(c.EventBatchPublisher)
	case *configuredStates:
		return SystemOf(c.StatePublisher)
	case *configuredStateBatches:
		return SystemOf(c.StateBatchPublisher)
	case SystemNamer:
		return c.MessagingSystem()
	}
	return ""
}

// WithOptions returns a publisher with options:
//
//	engine.AddEventPublishers(publisher.WithOptions(kafka, publisher.Options{FromNow: true}))
func WithOptions(p EventPublisher, options Options) EventPublisher {
	if batch, ok := p.(EventBatchPublisher); ok {
		return &configuredEventBatches{batch, options}
	}
	return &configuredEvents{p, options}
}

// WithStateOptions is [WithOptions] for a state publisher.
func WithStateOptions(p StatePublisher, options Options) StatePublisher {
	if batch, ok := p.(StateBatchPublisher); ok {
		return &configuredStateBatches{batch, options}
	}
	return &configuredStates{p, options}
}

type configuredEvents struct {
	EventPublisher
	options Options
}

type configuredEventBatches struct {
	EventBatchPublisher
	options Options
}

type configuredStates struct {
	StatePublisher
	options Options
}

type configuredStateBatches struct {
	StateBatchPublisher
	options Options
}

// Options returns what the publisher was given.
func (c *configuredEvents) Options() Options { return c.options }

// Options returns what the publisher was given.
func (c *configuredEventBatches) Options() Options { return c.options }

// Options returns what the publisher was given.
func (c *configuredStates) Options() Options { return c.options }

// Options returns what the publisher was given.
func (c *configuredStateBatches) Options() Options { return c.options }
