package nats

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/actorkeep/ego/publisher"
)

// DefaultInFlight is the default of [Config.InFlight].
const DefaultInFlight = 1024

// Config is what a publisher needs: a connection, or the URL of a server.
type Config struct {
	// Conn is a connection of the caller's, which stays the caller's to close. Without it, the publisher connects to URL
	// and connects again for as long as it takes.
	Conn *nats.Conn

	// URL is the server, or several separated by commas, and Options configure the connection to it: TLS, credentials.
	URL     string
	Options []nats.Option

	// ID is the ID of the publisher. The default is "nats.events" or "nats.states".
	ID string

	// Subject returns the subject of a message. The default is "ego.events." or "ego.states." and the kind, see [Token].
	Subject func(m *publisher.Message) string

	// Encoder makes the messages. The default is publisher.Protobuf.
	Encoder publisher.Encoder

	// InFlight bounds how many messages of one batch are on their way. The default is 1,024.
	InFlight int

	// Core publishes to core NATS: a message counts as taken once the server has read it, whoever listens.
	Core bool
}

func (c *Config) validate() error {
	var problems []error
	if (c.Conn == nil) == (c.URL == "") {
		problems = append(problems, errors.New("nats: there must be either a connection or a URL"))
	}
	if c.InFlight < 0 {
		problems = append(problems, fmt.Errorf("nats: %d messages in flight are below zero", c.InFlight))
	}
	return errors.Join(problems...)
}

func (c *Config) withDefaults(id, subject string) Config {
	d := *c
	if d.ID == "" {
		d.ID = id
	}
	if d.Subject == nil {
		d.Subject = func(m *publisher.Message) string { return subject + Token(m.Kind) }
	}
	if d.Encoder == nil {
		d.Encoder = publisher.Protobuf()
	}
	if d.InFlight == 0 {
		d.InFlight = DefaultInFlight
	}
	return d
}

// Token makes one token of a subject of any name: what cannot stand in one becomes an underscore, and so does an empty name.
func Token(name string) string {
	if name == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(".*>", r) {
			return '_'
		}
		return r
	}, name)
}
