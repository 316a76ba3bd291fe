package websocket

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/actorkeep/ego/publisher"
)

// StatusSlow is the close code of a client that is too slow. It connects again and resumes by its cursor.
const StatusSlow websocket.StatusCode = 4008

// The defaults of [HandlerConfig].
const (
	DefaultPingInterval = 15 * time.Second
	DefaultSlowAfter    = 5 * time.Second
	DefaultWriteTimeout = 15 * time.Second
)

// A Request is what a client asks for.
type Request struct {
	States    bool // the stream of states, not of events
	Now       bool // from now; else after the cursor
	Cursor    publisher.Cursor
	Selection publisher.Selection
	Protobuf  bool // binary frames
}

// HandlerConfig is what a [Handler] needs.
type HandlerConfig struct {
	// Events and States are the streams that are served, of an engine. One of them may be nil.
	Events publisher.Stream
	States publisher.Stream

	// Authorize decides about a client. It may narrow the selection of the request. An error refuses the client, with the
	// status of a [StatusError] in it or else 403, and its message. It is required: [AllowAll] says that everybody may
	// see everything.
	Authorize func(r *http.Request, request *Request) error

	// Origins are host patterns, as of path.Match, of other sites whose pages may connect. The own site always may.
	Origins []string

	// PingInterval is how often an idle connection is tested; a client that does not answer in time is cut off. The default
	// is 15 seconds.
	PingInterval time.Duration

	// SlowAfter is how long a client may take for one frame. The default is 5 seconds.
	SlowAfter time.Duration

	// WriteTimeout is when a client is cut off that does not take a frame at all. The default is 15 seconds.
	WriteTimeout time.Duration

	// MaxClients bounds how many clients are served at once; one more is refused with 503. Zero is no bound.
	MaxClients int

	// Logger is told of events that cannot be opened, which clients do not see. The default logs nothing.
	Logger *slog.Logger
}

// AllowAll is an Authorize that lets everybody see everything.
func AllowAll(*http.Request, *Request) error { return nil }

// A StatusError is an error with an HTTP status.
type StatusError struct {
	Status int
	Err    error
}

func (e *StatusError) Error() string { return e.Err.Error() }
func (e *StatusError) Unwrap() error { return e.Err }

func (c *HandlerConfig) validate() error {
	var problems []error
	if c.Events == nil && c.States == nil {
		problems = append(problems, errors.New("websocket: there is no stream"))
	}
	if c.Authorize == nil {
		problems = append(problems, errors.New("websocket: nothing authorizes clients; AllowAll lets everybody see everything"))
	}
	for name, d := range map[string]time.Duration{"ping interval": c.PingInterval, "slow after": c.SlowAfter, "write timeout": c.WriteTimeout} {
		if d < 0 {
			problems = append(problems, fmt.Errorf("websocket: %s %v is below zero", name, d))
		}
	}
	return errors.Join(problems...)
}

func (c HandlerConfig) withDefaults() HandlerConfig {
	if c.PingInterval == 0 {
		c.PingInterval = DefaultPingInterval
	}
	if c.SlowAfter == 0 {
		c.SlowAfter = DefaultSlowAfter
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
