package journal

import (
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// The defaults of [Config].
const (
	DefaultMaxEvents        = 1000
	DefaultMaxBytes         = 8 << 20
	DefaultMaxPendingEvents = 10 * DefaultMaxEvents
	DefaultMaxPendingBytes  = 8 * DefaultMaxBytes
	DefaultWriteTimeout     = 5 * time.Second
)

// stuckGrace is how long after its timeout a write may still return before it is taken for stuck.
const stuckGrace = time.Second

// Config says where a [Journal] writes to and within which bounds. A bound of zero or less is its default. Sizes in bytes
// are estimates from above of the encoded events.
type Config struct {
	// Store receives the writes, one at a time unless they are very cheap. It is required.
	Store persistence.EventsStore

	// MaxEvents and MaxBytes bound one write. An append that is larger by itself is written alone. The defaults are 1000
	// events and 8 MiB.
	MaxEvents int
	MaxBytes  int

	// MaxPendingEvents and MaxPendingBytes bound what gathers for the next writes. Beyond them appenders wait for room in
	// the order of their arrival; they are the ones that Stop refuses instead of writing their events. The defaults are
	// 10,000 events and 64 MiB.
	MaxPendingEvents int
	MaxPendingBytes  int

	// WriteTimeout bounds one write. The default is 5 seconds.
	WriteTimeout time.Duration

	// OnCommit is called after each successful write and before its appends are answered, by the goroutine of the
	// write. It wakes consumers. It may be called for several writes at once. It must return fast, must neither append nor
	// panic, and must not keep the events. It may be nil.
	OnCommit func(events []*egopb.Event)

	// Observe is called after every write, for metrics, under the same rules as OnCommit. It may be nil.
	Observe func(Write)
}

// A Write is one call to the store.
type Write struct {
	Appends, Events, Bytes int
	Duration               time.Duration
	Outcome                Outcome
	Err                    error // what the store returned
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxEvents, DefaultMaxEvents)
	setDefault(&c.MaxBytes, DefaultMaxBytes)
	setDefault(&c.MaxPendingEvents, DefaultMaxPendingEvents)
	setDefault(&c.MaxPendingBytes, DefaultMaxPendingBytes)
	setDefault(&c.WriteTimeout, DefaultWriteTimeout)
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
