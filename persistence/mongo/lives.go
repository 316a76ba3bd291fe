package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

// BeginErasure implements [encryption.Erasures]. A dump has nothing of the keys afterwards. In the files of the server they
// stay until their space is used again, and in the oplog of a replica set for as long as that is kept: wrap them, so that
// they are useless there.
func (s *Store) BeginErasure(ctx context.Context, persistenceID string) error {
	return s.changeKeys(ctx, "begin an erasure in", persistenceID, func(r *keyring, keys []*egopb.DataKey) ([]*egopb.DataKey, error) {
		if r.life().Phase == encryption.Erasing {
			return nil, errUnchanged
		}
		r.Phase = int32(encryption.Erasing)
		r.Erasures++
		for i, key := range keys {
			keys[i] = encryption.Destroyed(key)
		}
		return keys, nil
	})
}

// FinishErasure implements [encryption.Erasures].
func (s *Store) FinishErasure(ctx context.Context, persistenceID string) error {
	return s.changeKeys(ctx, "finish an erasure in", persistenceID, func(r *keyring, keys []*egopb.DataKey) ([]*egopb.DataKey, error) {
		if r.life().Phase != encryption.Erasing {
			return nil, errUnchanged
		}
		r.Phase = int32(encryption.Erased)
		return keys, nil
	})
}

// Revive implements [encryption.Erasures].
func (s *Store) Revive(ctx context.Context, persistenceID string) error {
	return s.changeKeys(ctx, "revive an entity in", persistenceID, func(r *keyring, keys []*egopb.DataKey) ([]*egopb.DataKey, error) {
		switch r.life().Phase {
		case encryption.Erasing:
			return nil, &encryption.ErasedError{PersistenceID: persistenceID}
		case encryption.Alive:
			return nil, errUnchanged
		default:
			r.Phase = int32(encryption.Alive)
			return keys, nil
		}
	})
}

// LifeOf implements [encryption.Erasures].
func (s *Store) LifeOf(ctx context.Context, persistenceID string) (encryption.Life, error) {
	_, life, err := s.DataKeys(ctx, persistenceID)
	return life, err
}

// PendingErasures implements [encryption.Erasures].
func (s *Store) PendingErasures(ctx context.Context, after string, limit int) (ids []string, err error) {
	if err := encryption.CheckLimit(limit); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	erasing := bson.D{{Key: "ph", Value: int32(encryption.Erasing)}, {Key: "i", Value: bson.D{{Key: "$gt", Value: after}}}, {Key: "l", Value: true}}
	err = s.read(ctx, "read pending erasures from", func(ctx context.Context, c *session) error {
		ids = nil
		return each(ctx, c.keyrings, erasing, options.Find().SetSort(bson.D{{Key: "i", Value: 1}}), func(raw bson.Raw) (bool, error) {
			found := new(keyring)
			if err := bson.Unmarshal(raw, found); err != nil {
				return false, err
			}
			last, err := c.keyringOf(ctx, found.Of) // it may have been superseded and not be cleared yet
			if err == nil && last.Number == found.Number {
				ids = append(ids, found.Of)
			}
			return len(ids) < limit, err
		})
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}
