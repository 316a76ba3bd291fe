package persistencetest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// The acknowledgement of the second write is lost: the caller sees an error, and the event is there.
func ExampleFaults() {
	ctx, faults := context.Background(), persistencetest.NewFaults()
	store := faults.Events(memory.NewStore())
	faults.On("WriteEvents").Nth(2).FailAfterCommit(errors.New("connection reset"))

	for number := uint64(1); number <= 2; number++ {
		event := &egopb.Event{PersistenceId: "account-1", SequenceNumber: number}
		fmt.Println("write:", store.WriteEvents(ctx, []*egopb.Event{event}))
	}
	latest, err := store.GetLatestEvent(ctx, "account-1")
	fmt.Println("latest:", latest.GetSequenceNumber(), err)
	// Output:
	// write: <nil>
	// write: connection reset
	// latest: 2 <nil>
}

// A write is held while the test does what must happen during it.
func ExampleRule_Block() {
	ctx, faults := context.Background(), persistencetest.NewFaults()
	store := faults.Events(memory.NewStore())
	rule := faults.On("WriteEvents")
	release := rule.Block()

	done := make(chan error)
	go func() {
		done <- store.WriteEvents(ctx, []*egopb.Event{{PersistenceId: "account-1", SequenceNumber: 1}})
	}()
	<-rule.Entered()
	latest, _ := store.GetLatestEvent(ctx, "account-1")
	fmt.Println("during the write:", latest != nil)

	release()
	fmt.Println("write:", <-done)
	// Output:
	// during the write: false
	// write: <nil>
}
