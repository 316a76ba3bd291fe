package persistence

import (
	"context"

	"github.com/actorkeep/ego/egopb"
)

// A TimerBatchStore is a [TimerStore] that ends the claims on many timers in one go. All methods take timers as ClaimTimers
// returned them, and pass over those that were canceled, completed, scheduled anew or claimed by somebody else since.
// Without it, timers are completed one by one, and the claims of a process that stops stay until they expire.
type TimerBatchStore interface {
	TimerStore

	// CompleteTimers removes timers that have fired, all or none.
	CompleteTimers(ctx context.Context, timers []*egopb.Timer) error

	// ReleaseTimers gives claims back, all or none, so that the timers are handed out again at once.
	ReleaseTimers(ctx context.Context, timers []*egopb.Timer) error
}
