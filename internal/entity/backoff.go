package entity

import (
	"context"
	"time"
)

// The wait after a failed recovery doubles from the first to the last.
const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

// backoff spaces the attempts to recover an entity. The zero value lets the first attempt through at once.
type backoff struct {
	next  time.Duration
	until time.Time
}

// wait returns when the next attempt may begin, or with the error of the context.
func (b *backoff) wait(ctx context.Context) error {
	left := time.Until(b.until)
	if left <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *backoff) failed() {
	b.next = min(max(2*b.next, firstBackoff), lastBackoff)
	b.until = time.Now().Add(b.next)
}

func (b *backoff) succeeded() { *b = backoff{} }
