package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

var (
	_ publisher.EventBatchPublisher = (*EventPublisher)(nil)
	_ publisher.StateBatchPublisher = (*StatePublisher)(nil)
)

// The defaults of [Config].
const (
	DefaultMaxMessageBytes = 1 << 20
	DefaultDialTimeout     = 10 * time.Second
	DefaultInFlight        = 1024
)

// Config is what a publisher needs. Only the URL is required.
type Config struct {
	// URL is where the server listens: ws, wss, http or https.
	URL string

	// ID is the ID of the publisher. The default is "websocket.events" or "websocket.states".
	ID string

	// JSON sends frames in protobuf's JSON form. The default is its binary form.
	JSON bool

	// WithoutAcks does not wait for the server to say that it took a frame. Events can then be lost.
	WithoutAcks bool

	// Header and Client are for the request that opens the connection: credentials, TLS.
	Header http.Header
	Client *http.Client

	// DialTimeout bounds one attempt to connect. The default is 10 seconds. The next publication tries again.
	DialTimeout time.Duration

	// PingInterval is how often the connection is tested. The default is 15 seconds.
	PingInterval time.Duration

	// MaxMessageBytes is what the server reads: larger frames are rejected. The default is 1 MiB.
	MaxMessageBytes int

	// InFlight bounds how many frames of one batch are on their way. The default is 1,024.
	InFlight int
}

func (c *Config) validate() error {
	var problems []error
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		problems = append(problems, fmt.Errorf("websocket: the URL: %w", err))
	case u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		problems = append(problems, fmt.Errorf("websocket: %q is no ws, wss, http or https URL", c.URL))
	}
	if c.DialTimeout < 0 || c.PingInterval < 0 || c.MaxMessageBytes < 0 || c.InFlight < 0 {
		problems = append(problems, errors.New("websocket: a time or a number is below zero"))
	}
	return errors.Join(problems...)
}

func (c *Config) withDefaults(id string) Config {
	d := *c
	if d.ID == "" {
		d.ID = id
	}
	if d.DialTimeout == 0 {
		d.DialTimeout = DefaultDialTimeout
	}
	if d.PingInterval == 0 {
		d.PingInterval = DefaultPingInterval
	}
	if d.MaxMessageBytes == 0 {
		d.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if d.InFlight == 0 {
		d.InFlight = DefaultInFlight
	}
	return d
}

// An EventPublisher sends events to a server. It connects when there is something to send, and again when the connection is
// lost.
type EventPublisher struct {
	id   string
	dial *dialer
}

// NewEventPublisher returns a publisher of events. It does not connect yet. The error says all that is wrong with the
// configuration.
func NewEventPublisher(config Config) (*EventPublisher, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults("websocket.events")
	return &EventPublisher{config.ID, &dialer{config: &config}}, nil
}

// ID returns the ID of the publisher.
func (p *EventPublisher) ID() string { return p.id }

// Publish publishes one event, see [publisher.EventPublisher].
func (p *EventPublisher) Publish(ctx context.Context, event *egopb.Event) error {
	return p.PublishBatch(ctx, []*egopb.Event{event})
}

// PublishBatch publishes many events, see [publisher.EventBatchPublisher].
func (p *EventPublisher) PublishBatch(ctx context.Context, events []*egopb.Event) error {
	shipments := make([]*shipment, len(events))
	for i, event := range events {
		shipments[i] = &shipment{key: event.GetPersistenceId(), frame: &egopb.Frame{Content: &egopb.Frame_Event{Event: event}}}
	}
	return p.dial.publish(ctx, shipments)
}

// Close closes the connection once the calls that are under way have ended, or with the context.
func (p *EventPublisher) Close(ctx context.Context) error { return p.dial.close(ctx) }

// A StatePublisher sends durable states to a server, as an [EventPublisher] does events.
type StatePublisher struct {
	id   string
	dial *dialer
}

// NewStatePublisher returns a publisher of states. It does not connect yet. The error says all that is wrong with the
// configuration.
func NewStatePublisher(config Config) (*StatePublisher, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults("websocket.states")
	return &StatePublisher{config.ID, &dialer{config: &config}}, nil
}

// ID returns the ID of the publisher.
func (p *StatePublisher) ID() string { return p.id }

// Publish publishes one state, see [publisher.StatePublisher].
func (p *StatePublisher) Publish(ctx context.Context, state *egopb.DurableState) error {
	return p.PublishBatch(ctx, []*egopb.DurableState{state})
}

// PublishBatch publishes many states, see [publisher.StateBatchPublisher].
func (p *StatePublisher) PublishBatch(ctx context.Context, states []*egopb.DurableState) error {
	shipments := make([]*shipment, len(states))
	for i, state := range states {
		shipments[i] = &shipment{key: state.GetPersistenceId(), frame: &egopb.Frame{Content: &egopb.Frame_State{State: state}}}
	}
	return p.dial.publish(ctx, shipments)
}

// Close closes the connection once the calls that are under way have ended, or with the context.
func (p *StatePublisher) Close(ctx context.Context) error { return p.dial.close(ctx) }
