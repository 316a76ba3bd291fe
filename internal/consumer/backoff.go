package consumer

import (
	"context"
	"time"
)

const (
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
)

// A backoff doubles from a second to half a minute. The zero value is at its beginning.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), lastBackoff)
	return b.last
}

func (b *backoff) reset() { b.last = 0 }

// sleep returns nil after d, or the cause of the end of the context, or errDrained when drain is closed first.
func sleep(ctx context.Context, d time.Duration, drain <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-drain:
		return errDrained
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
