package mongo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

var _ encryption.KeyStore = (*Store)(nil)

// A keyring is the keys of an entity and what the entity is. Like a register it is never changed: each change is a new
// document with the next number, of which the highest counts. Those before it lose their content and keep their numbers for
// ever, so no change can rest on an old one, however late it comes.
type keyring struct {
	ID       string        `bson:"_id"`
	Of       string        `bson:"i"`
	Number   int64         `bson:"q"`
	Live     bool          `bson:"l,omitempty"`  // not known to be superseded
	Phase    int32         `bson:"ph,omitempty"` // encryption.Phase
	Erasures int64         `bson:"x,omitempty"`
	Token    bson.Binary   `bson:"b"`
	Keys     []bson.Binary `bson:"k,omitempty"` // ego.v1.DataKey by version
}

func (r *keyring) life() encryption.Life {
	return encryption.Life{Phase: encryption.Phase(r.Phase), Erasures: uint64(r.Erasures)}
}

func (r *keyring) keys() ([]*egopb.DataKey, error) {
	keys := make([]*egopb.DataKey, len(r.Keys))
	for i, record := range r.Keys {
		keys[i] = new(egopb.DataKey)
		if err := proto.Unmarshal(record.Data, keys[i]); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// keyringOf returns the keyring of an entity, an empty one when it has none.
func (c *session) keyringOf(ctx context.Context, id string) (*keyring, error) {
	filter := bson.D{{Key: "i", Value: id}, {Key: "l", Value: true}}
	found, err := findOne[keyring](ctx, c.keyrings, filter, options.FindOne().SetSort(bson.D{{Key: "q", Value: -1}}))
	if err == nil && found == nil {
		found = &keyring{Of: id}
	}
	return found, err
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// A keyChange makes the keys of the next keyring, and may change what the entity is.
type keyChange func(r *keyring, keys []*egopb.DataKey) ([]*egopb.DataKey, error)

// changeKeys changes the keyring of an entity, and takes the content out of those before.
func (s *Store) changeKeys(ctx context.Context, op, id string, apply keyChange) error {
	if err := persistence.CheckID(id); err != nil {
		return err
	}
	return s.write(ctx, op, func(work context.Context, c *session) error {
		last, err := c.putKeyring(ctx, work, id, apply)
		if err != nil {
			return err
		}
		return c.clearKeyrings(work, last)
	})
}

// putKeyring inserts the keyring that follows the last one, and returns the one that is the last then. The insert fails when
// somebody else has taken the number meanwhile; then it looks again.
func (c *session) putKeyring(ctx, work context.Context, id string, apply keyChange) (*keyring, error) {
	token, open := newToken(), false
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil && !open {
			return nil, err
		}
		last, err := c.keyringOf(work, id)
		if err != nil {
			return nil, unknownIf(open, err)
		}
		if bytes.Equal(last.Token.Data, token) {
			return last, nil // an insert that nothing was heard of
		}
		next, err := last.next(id, token, apply)
		switch {
		case errors.Is(err, errUnchanged):
			return last, nil
		case err != nil:
			return nil, unknownIf(open, err)
		}
		_, err = c.keyrings.InsertOne(work, next)
		switch {
		case err == nil:
			return next, nil
		case driver.IsDuplicateKeyError(err):
		case refused(err) && !open:
			return nil, err
		default:
			open = open || !refused(err)
		}
		if pause(work, attempt) != nil {
			return nil, unknownIf(open, errors.Join(ErrContended, err))
		}
	}
}

// next makes the keyring that follows.
func (r *keyring) next(id string, token []byte, apply keyChange) (*keyring, error) {
	keys, err := r.keys()
	if err != nil {
		return nil, err
	}
	next := *r
	if keys, err = apply(&next, keys); err != nil {
		return nil, err
	}
	next.Of, next.Number, next.Live, next.Token, next.Keys = id, r.Number+1, true, bson.Binary{Data: token}, nil
	next.ID = fmt.Sprintf("%08x/%s", next.Number, id)
	for _, key := range keys {
		record, err := marshal(id, key)
		if err != nil {
			return nil, err
		}
		next.Keys = append(next.Keys, record)
	}
	return &next, nil
}

// clearKeyrings takes the content out of the keyrings before one.
func (c *session) clearKeyrings(ctx context.Context, last *keyring) error {
	before := bson.D{{Key: "i", Value: last.Of}, {Key: "q", Value: bson.D{{Key: "$lt", Value: last.Number}}}, {Key: "l", Value: true}}
	clearing := bson.D{{Key: "$unset", Value: bson.D{{Key: "l", Value: ""}, {Key: "k", Value: ""}, {Key: "ph", Value: ""}}}}
	if _, err := c.keyrings.UpdateMany(ctx, before, clearing); err != nil {
		return &outcomeError{&partialError{err}}
	}
	return nil
}

// DataKeys implements [encryption.KeyStore].
func (s *Store) DataKeys(ctx context.Context, persistenceID string) (keys []*egopb.DataKey, life encryption.Life, err error) {
	err = s.read(ctx, "read keys from", func(ctx context.Context, c *session) error {
		r, err := c.keyringOf(ctx, persistenceID)
		if err != nil {
			return err
		}
		life = r.life()
		keys, err = r.keys()
		return err
	})
	if err != nil {
		return nil, encryption.Life{}, err
	}
	return keys, life, nil
}

// AddDataKey implements [encryption.KeyStore].
func (s *Store) AddDataKey(ctx context.Context, key *egopb.DataKey) error {
	if err := encryption.CheckDataKey(key); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	key = proto.CloneOf(key)
	id := key.GetPersistenceId()
	return s.changeKeys(ctx, "add a key to", id, func(r *keyring, keys []*egopb.DataKey) ([]*egopb.DataKey, error) {
		if r.life().Phase != encryption.Alive {
			return nil, &encryption.ErasedError{PersistenceID: id}
		}
		taken := slices.ContainsFunc(keys, func(k *egopb.DataKey) bool { return k.GetKeyId() == key.GetKeyId() })
		if taken || key.GetVersion() != uint64(len(keys))+1 {
			return nil, fmt.Errorf("%w: entity %q has %d", encryption.ErrKeyConflict, id, len(keys))
		}
		return append(keys, key), nil
	})
}

// ReplaceDataKey implements [encryption.KeyStore].
func (s *Store) ReplaceDataKey(ctx context.Context, key *egopb.DataKey, formerMasterKeyID string) error {
	if err := encryption.CheckDataKey(key); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	key = proto.CloneOf(key)
	return s.changeKeys(ctx, "replace a key in", key.GetPersistenceId(), func(_ *keyring, keys []*egopb.DataKey) ([]*egopb.DataKey, error) {
		i := slices.IndexFunc(keys, func(k *egopb.DataKey) bool {
			return k.GetVersion() == key.GetVersion() && k.GetKeyId() == key.GetKeyId() &&
				k.GetMasterKeyId() == formerMasterKeyID && !k.GetDestroyed()
		})
		if i < 0 {
			return nil, fmt.Errorf("%w: version %d of entity %q", encryption.ErrKeyConflict, key.GetVersion(), key.GetPersistenceId())
		}
		keys[i] = key
		return keys, nil
	})
}

// eachKeyring calls see with the keyrings that match, each the last of its entity, by the bytes of their entities, until it
// returns false.
func (c *session) eachKeyring(ctx context.Context, filter bson.D, see func(r *keyring) (bool, error)) error {
	var last *keyring
	order := options.Find().SetSort(bson.D{{Key: "i", Value: 1}, {Key: "q", Value: 1}})
	more := true
	err := each(ctx, c.keyrings, append(filter, bson.E{Key: "l", Value: true}), order, func(raw bson.Raw) (_ bool, err error) {
		r := new(keyring)
		if err := bson.Unmarshal(raw, r); err != nil {
			return false, err
		}
		if last != nil && last.Of != r.Of {
			more, err = see(last)
		}
		last = r
		return more, err
	})
	if err == nil && more && last != nil {
		_, err = see(last)
	}
	return err
}

// ListDataKeys implements [encryption.KeyStore].
func (s *Store) ListDataKeys(ctx context.Context, afterPersistenceID string, afterVersion uint64, limit int) (page []*egopb.DataKey, err error) {
	if err := encryption.CheckLimit(limit); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	from := bson.D{{Key: "i", Value: bson.D{{Key: "$gte", Value: afterPersistenceID}}}}
	err = s.read(ctx, "list keys of", func(ctx context.Context, c *session) error {
		page = nil
		return c.eachKeyring(ctx, from, func(r *keyring) (bool, error) {
			keys, err := r.keys()
			for _, key := range keys {
				after := r.Of != afterPersistenceID || key.GetVersion() > afterVersion
				if after && !key.GetDestroyed() && len(page) < limit {
					page = append(page, key)
				}
			}
			return len(page) < limit, err
		})
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}
