package postgres

import (
	"context"
	"time"
)

const (
	channelPrefix = "ego."

	notifyStatement = `SELECT pg_notify($1, '')`

	// notifyGap is the shortest time between two notifications of a store, which bounds what a busy one costs. The first
	// after a pause is sent at once.
	notifyGap = 5 * time.Millisecond

	notifyTimeout = 5 * time.Second
)

// channel is the name of the notification channel of the schema.
func (c *config) channel() string { return channelPrefix + c.schema }

// A notifier tells other processes of commits. It sends outside of the transactions that write, as a NOTIFY within one
// takes a lock of the whole database at commit, and once for all commits since the last time. A notification that cannot
// be sent is dropped: listeners poll as well.
type notifier struct {
	wake chan struct{} // holds one when there are commits to tell of
	end  context.CancelFunc
	done chan struct{}
}

func startNotifier(c *config) *notifier {
	ctx, end := context.WithCancel(context.Background())
	n := &notifier{wake: make(chan struct{}, 1), end: end, done: make(chan struct{})}
	go n.run(ctx, c)
	return n
}

// committed says that something was committed.
func (n *notifier) committed() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) run(ctx context.Context, c *config) {
	defer close(n.done)
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		n.send(ctx, c)
		if pause(ctx, notifyGap) != nil {
			return
		}
	}
}

func (n *notifier) send(ctx context.Context, c *config) {
	limit, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	if _, err := c.pool.Exec(limit, notifyStatement, c.channel()); err != nil {
		return // a hint that is lost costs time and nothing else
	}
}

func (n *notifier) stop() {
	n.end()
	<-n.done
}
