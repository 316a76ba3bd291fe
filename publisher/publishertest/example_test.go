package publishertest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/publishertest"
)

// A board is a broker of one's own; a service has a client of one.
type board struct {
	mu    sync.Mutex
	notes []publishertest.Received
}

// A pinner publishes to a board.
type pinner struct {
	board  *board
	mu     sync.Mutex
	closed bool
}

func (p *pinner) ID() string { return "board" }

func (p *pinner) Publish(ctx context.Context, event *egopb.Event) error {
	m, err := publisher.Protobuf().EncodeEvent(event)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.closed:
		return publisher.ErrClosed
	}
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	p.board.notes = append(p.board.notes, publishertest.Received{ID: m.ID, Key: m.Key, Body: m.Body})
	return nil
}

func (p *pinner) Close(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// printer stands for the *testing.T that an example does not have. It prints what that would report.
type printer struct {
	testing.TB
	cleanups []func()
}

func (p *printer) Context() context.Context          { return context.Background() }
func (p *printer) Name() string                      { return "board" }
func (p *printer) Helper()                           {}
func (p *printer) Cleanup(f func())                  { p.cleanups = append(p.cleanups, f) }
func (p *printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (p *printer) FailNow()                          { panic("the publisher does not keep the contract") }

// A publisher passes when every case does that its broker has the means for. In a test that is one line:
//
//	publishertest.Run(t, open)
func ExampleRun() {
	open := func(testing.TB) publishertest.Broker {
		b := new(board) // empty, and nobody else's
		return publishertest.Broker{
			Events: func(testing.TB) publisher.EventPublisher { return &pinner{board: b} },
			Received: func(testing.TB) []publishertest.Received {
				b.mu.Lock()
				defer b.mu.Unlock()
				return append([]publishertest.Received(nil), b.notes...)
			},
		}
	}

	for _, c := range publishertest.Cases() {
		t := new(printer)
		broker := open(t)
		if !c.Applies(broker) {
			continue
		}
		c.Run(t, broker)
		for i := range t.cleanups {
			t.cleanups[len(t.cleanups)-1-i]()
		}
	}
	fmt.Println("it keeps the contract")
	// Output: it keeps the contract
}
