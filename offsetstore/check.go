package offsetstore

import (
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// CheckLetter returns the dead letter as a store keeps it under a lease, or a [persistence.InvalidRecordError]: a letter
// needs an event with a position in the shard of the lease. A consumer that is left out is that of the lease. Stores call
// it from ParkEvents.
func CheckLetter(lease Lease, letter *egopb.DeadLetter) (*egopb.DeadLetter, error) {
	event := letter.GetEvent()
	refuse := func(reason string) (*egopb.DeadLetter, error) {
		return nil, &persistence.InvalidRecordError{PersistenceID: event.GetPersistenceId(), Reason: reason}
	}
	switch {
	case event == nil:
		return refuse("the dead letter has no event")
	case event.GetPosition() == 0:
		return refuse("the dead letter has no position")
	case event.GetShard() != lease.Shard:
		return refuse("the dead letter is of another shard than the lease")
	}
	switch letter.GetConsumer() {
	case lease.Consumer:
		return letter, nil
	case "":
		letter = proto.CloneOf(letter)
		letter.Consumer = lease.Consumer
		return letter, nil
	default:
		return refuse("the dead letter is of another consumer than the lease")
	}
}
