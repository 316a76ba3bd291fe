package envelope

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
)

const erasedTypeURL = "type.googleapis.com/ego.v1.Erased"

// NewErasure returns the payload that ends the life of an erased entity.
func NewErasure(unixNano int64) *anypb.Any {
	value, err := proto.Marshal(&egopb.Erased{TimeUnixNano: unixNano})
	if err != nil {
		panic(err) // a message of one number can be marshalled
	}
	return &anypb.Any{TypeUrl: erasedTypeURL, Value: value}
}

// IsErasure reports whether an event ends the life of an erased entity: nothing of the events before it is readable, and
// what comes after it is another life.
func IsErasure(event *egopb.Event) bool { return isErasure(event.GetKeyId(), event.GetPayload()) }

// IsErasedState reports whether a durable state ends the life of an erased entity.
func IsErasedState(state *egopb.DurableState) bool {
	return isErasure(state.GetKeyId(), state.GetState())
}

func isErasure(keyID string, payload *anypb.Any) bool {
	return keyID == "" && payload.GetTypeUrl() == erasedTypeURL
}

// CloseFor makes [Codec.LifeOf] call an entity [encryption.Erasing] until reopen is called, whatever else is known of it.
// It is for an erasure that is under way in this process.
func (c *Codec) CloseFor(persistenceID string) (reopen func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.erasing == nil {
		c.erasing = make(map[string]int)
	}
	c.erasing[persistenceID]++
	c.erasures.Add(1)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.erasing[persistenceID]--; c.erasing[persistenceID] == 0 {
			delete(c.erasing, persistenceID)
		}
		c.erasures.Add(-1)
	})
}

// closed reports whether an entity is being erased in this process.
func (c *Codec) closed(persistenceID string) bool {
	if c.erasures.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.erasing[persistenceID] > 0
}

// Guards reports whether [Codec.LifeOf] can answer anything but alive. It costs next to nothing.
func (c *Codec) Guards() bool { return c.encryptor != nil || c.erasures.Load() > 0 }

// LifeOf returns what an entity is: being erased by this process, else what the encryptor knows, which is as old as its
// cache, and alive without one.
func (c *Codec) LifeOf(ctx context.Context, persistenceID string) (encryption.Life, error) {
	switch {
	case c.closed(persistenceID):
		return encryption.Life{Phase: encryption.Erasing}, nil
	case c.encryptor == nil:
		return encryption.Life{}, nil
	}
	return c.encryptor.LifeOf(ctx, persistenceID)
}

// Revive lets an entity that was erased have keys again, see [encryption.Erasures].
func (c *Codec) Revive(ctx context.Context, persistenceID string) error {
	if c.encryptor == nil {
		return nil
	}
	return c.encryptor.Revive(ctx, persistenceID)
}
