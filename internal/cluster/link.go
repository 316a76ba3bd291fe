package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
)

const (
	maxBatchMessages = 1024
	maxBatchBytes    = 1 << 20
	maxMessageBytes  = 12 << 20 // GoAkt takes frames of 16 MiB
	maxWaiting       = 1 << 16  // requests of one link without an answer

	sendTimeout  = 2 * time.Second
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

var (
	// ErrOverloaded reports a peer with too many unanswered requests. The request was not sent.
	ErrOverloaded = errors.New("cluster: too many requests wait for the node")

	// ErrTooLarge reports a request or a reply that does not fit in a message.
	ErrTooLarge = errors.New("cluster: the message is larger than 12 MiB")
)

// A call is a request on its way to a peer and back.
type call struct {
	request  *egopb.ClusterRequest
	deadline time.Time
	outcome  chan outcome // of capacity one
	progress progress
}

type outcome struct {
	reply *egopb.ClusterReply
	err   error
}

// progress is how far a call has come. The lock of the link guards it.
type progress int

const (
	waiting   progress = iota // for its batch
	inFlight                  // its batch is being sent, and no attempt has been in doubt
	delivered                 // its batch has arrived, or may have
	ended                     // answered or given up
)

// counters number what a membership sends. They are shared by its links, so that a link that is made anew to the same run
// of a peer uses no number again.
type counters struct{ requests, batches atomic.Uint64 }

// A link carries requests and replies from this run of this node to one run of another.
type link struct {
	to       ID
	from     *egopb.ClusterNode
	transmit func(ctx context.Context, to ID, batch *egopb.ClusterBatch) error
	gone     func(to ID)     // told once when that run of the peer has ended
	ctx      context.Context //nolint:containedctx // the lifetime of the membership
	work     *tasks
	counters *counters

	mu      sync.Mutex
	calls   []*call
	replies []*egopb.ClusterReply
	pending map[uint64]*call // in flight or delivered
	sending bool
	closed  bool
	done    chan struct{} // closed with the link
}

// ask sends a request and waits for its reply.
func (l *link) ask(ctx context.Context, request *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
	c := &call{request: request, outcome: make(chan outcome, 1)}
	c.deadline, _ = ctx.Deadline()
	if err := l.push(c); err != nil {
		return nil, err
	}
	select {
	case out := <-c.outcome:
		return out.reply, out.err
	case <-ctx.Done():
	}
	if l.giveUp(c) {
		return nil, &undelivered{ctx.Err()}
	}
	return nil, &inDoubt{ctx.Err()}
}

func (l *link) push(c *call) error {
	if len(c.request.GetCommand().GetValue()) > maxMessageBytes {
		return ErrTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return &undelivered{ErrGone}
	case len(l.calls)+len(l.pending) >= maxWaiting:
		return ErrOverloaded
	}
	c.request.Id = l.counters.requests.Add(1)
	l.calls = append(l.calls, c)
	l.startLocked()
	return nil
}

// giveUp ends a call whose caller no longer waits. It is true when the request has not been sent and never will be.
func (l *link) giveUp(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := c.progress
	c.progress = ended
	delete(l.pending, c.request.GetId())
	return before == waiting
}

// reply queues the outcome of a request of the peer.
func (l *link) reply(r *egopb.ClusterReply) {
	if len(r.GetState().GetValue()) > maxMessageBytes {
		r = &egopb.ClusterReply{Id: r.GetId(), Failure: &egopb.ClusterFailure{Message: ErrTooLarge.Error()}}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.replies = append(l.replies, r)
	l.startLocked()
}

// answer hands a reply of the peer to the call that waits for it, if one still does.
func (l *link) answer(r *egopb.ClusterReply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.pending[r.GetId()]; c != nil {
		l.endLocked(c, outcome{reply: r})
	}
}

func (l *link) endLocked(c *call, out outcome) {
	c.progress = ended
	delete(l.pending, c.request.GetId())
	c.outcome <- out
}

func (l *link) startLocked() {
	if !l.sending {
		l.sending = true
		l.work.do(l.run)
	}
}

// run sends batches until nothing is left to send.
func (l *link) run() {
	for {
		batch, calls := l.next()
		if batch == nil {
			return
		}
		l.deliver(batch, calls)
	}
}

// next gathers a batch.
func (l *link) next() (*egopb.ClusterBatch, []*call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls, requests := l.takeCallsLocked(time.Now())
	replies := l.takeRepliesLocked()
	if l.closed || len(requests)+len(replies) == 0 {
		l.sending = false
		return nil, nil
	}
	return &egopb.ClusterBatch{From: l.from, Number: l.counters.batches.Add(1), Requests: requests, Replies: replies}, calls
}

func (l *link) takeCallsLocked(now time.Time) (calls []*call, requests []*egopb.ClusterRequest) {
	bytes, taken := 0, 0
	for _, c := range l.calls {
		if len(calls) == maxBatchMessages || bytes >= maxBatchBytes {
			break
		}
		taken++
		if c.progress == ended {
			continue
		}
		if !c.deadline.IsZero() {
			c.request.TimeoutNanos = max(int64(c.deadline.Sub(now)), 1)
		}
		c.progress = inFlight
		l.pending[c.request.GetId()] = c
		bytes += len(c.request.GetCommand().GetValue())
		calls, requests = append(calls, c), append(requests, c.request)
	}
	l.calls = drop(l.calls, taken)
	return calls, requests
}

func (l *link) takeRepliesLocked() []*egopb.ClusterReply {
	bytes, taken := 0, 0
	for _, r := range l.replies {
		if taken == maxBatchMessages || bytes >= maxBatchBytes {
			break
		}
		bytes += len(r.GetState().GetValue())
		taken++
	}
	replies := append([]*egopb.ClusterReply(nil), l.replies[:taken]...)
	l.replies = drop(l.replies, taken)
	return replies
}

// drop removes the first n elements and forgets them.
func drop[T any](s []*T, n int) []*T {
	rest := copy(s, s[n:])
	clear(s[rest:])
	return s[:rest]
}

// deliver sends a batch until it has arrived or the run of the peer has ended.
func (l *link) deliver(batch *egopb.ClusterBatch, calls []*call) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		ctx, cancel := context.WithTimeout(l.ctx, sendTimeout)
		err := l.transmit(ctx, l.to, batch)
		cancel()
		if errors.Is(err, ErrGone) {
			l.close(true)
			l.gone(l.to)
			return
		}
		if !errors.Is(err, ErrNotDelivered) {
			l.mark(calls)
		}
		if err == nil {
			return
		}
		select {
		case <-time.After(backoff):
		case <-l.done:
			return
		}
	}
}

// unanswered counts the calls that wait for an outcome.
func (l *link) unanswered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls) + len(l.pending)
}

// mark notes that a batch has arrived, or may have.
func (l *link) mark(calls []*call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range calls {
		if c.progress == inFlight {
			c.progress = delivered
		}
	}
}

// close ends the link and all its calls. The batch in flight has not arrived when the peer refused it.
func (l *link) close(refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	close(l.done)
	for _, c := range l.calls {
		if c.progress == waiting {
			l.endLocked(c, outcome{err: &undelivered{ErrGone}})
		}
	}
	for _, c := range l.pending {
		if refused && c.progress == inFlight {
			l.endLocked(c, outcome{err: &undelivered{ErrGone}})
		} else {
			l.endLocked(c, outcome{err: &inDoubt{ErrGone}})
		}
	}
	l.calls, l.replies = nil, nil
}

// ended reports whether the link was closed.
func (l *link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// undelivered is the error of a request that has not arrived and never will.
type undelivered struct{ err error }

func (e *undelivered) Error() string { return e.err.Error() }
func (e *undelivered) Unwrap() error { return e.err }

// inDoubt is the error of a request that may have arrived.
type inDoubt struct{ err error } //nolint:errname // says what it is

func (e *inDoubt) Error() string { return e.err.Error() }
func (e *inDoubt) Unwrap() error { return e.err }
