package ego

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/actorkeep/ego/internal/consumer"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/projection"
)

// A registration is a projection that the engine was told of.
type registration struct {
	name    string
	options *projection.Options
}

// WithProjection registers a projection under a name, for [Engine.StartProjection] to run. The name is what its offsets are
// stored under, so it never changes; it is not empty, has at most 255 bytes, and does not begin with "ego.". Start rejects
// two projections of one name, options that are not valid, and projections without an offset store.
func WithProjection(name string, options *projection.Options) Option {
	return engineOption(func(c *config) {
		registered := registration{name: name}
		if options != nil {
			copied := *options
			registered.options = &copied
		}
		c.projections = append(c.projections, registered)
	})
}

// WithOffsetStore keeps leases, offsets and dead letters of projections in a store. The default is the events store, when it
// is an offset store as well. The store must be connected before Start.
func WithOffsetStore(store offsetstore.OffsetStore) Option {
	return engineOption(func(c *config) { c.offsets = store })
}

// WithLeaseTime bounds how long the shards of projections stay without an owner when a process dies: another takes them
// over within that time. All processes that share projections should have the same. Handlers of a process that is cut off
// from the store are canceled before its leases run out. The default is 10 seconds; Start rejects d < 100ms.
func WithLeaseTime(d time.Duration) Option {
	return engineOption(func(c *config) { c.leaseTime = d })
}

const minLeaseTime = 100 * time.Millisecond

// validateProjections returns all that is wrong with the projections.
func (c *config) validateProjections() error {
	var problems []error
	if c.leaseTime < minLeaseTime {
		problems = append(problems, fmt.Errorf("ego: lease time %v is below %v", c.leaseTime, minLeaseTime))
	}
	names := make(map[string]bool, len(c.projections))
	for _, p := range c.projections {
		if err := checkConsumerName(p.name); err != nil {
			problems = append(problems, fmt.Errorf("ego: projection %q: %w", p.name, err))
		}
		if names[p.name] {
			problems = append(problems, fmt.Errorf("ego: projection %q is registered twice", p.name))
		}
		names[p.name] = true
		if err := p.options.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("ego: projection %q: %w", p.name, err))
		}
	}
	return errors.Join(problems...)
}

// checkConsumerName returns an error unless every store can keep offsets under a name.
func checkConsumerName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > 255:
		return fmt.Errorf("the name has %d bytes, more than 255", len(name))
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return errors.New("the name is not valid UTF-8, or has a zero byte")
	case strings.HasPrefix(name, "ego."):
		return errors.New(`names that begin with "ego." are reserved`)
	default:
		return nil
	}
}

// checkStoresOfProjections returns an error for every projection that lacks a store.
func (c *config) checkStoresOfProjections(s stores) error {
	var problems []error
	for _, p := range c.projections {
		if s.events == nil {
			problems = append(problems, fmt.Errorf("projection %q: %w", p.name, ErrNoEventsStore))
		}
		if s.offsets == nil {
			problems = append(problems, fmt.Errorf("projection %q: %w", p.name, ErrNoOffsetStore))
		}
		parks := p.options != nil && p.options.Recovery != nil && p.options.Recovery.Policy() == projection.Park
		if parks && s.letters == nil {
			problems = append(problems, fmt.Errorf("projection %q parks events, but the offset store keeps no dead letters", p.name))
		}
	}
	return errors.Join(problems...)
}

const defaultLeaseTime = consumer.DefaultLeaseTime
