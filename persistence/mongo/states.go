package mongo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
)

// A stateRecord is one change of a state. Its _id takes the position in its shard, and a unique index on entity and
// revision takes the revision, so one insert is the compare-and-set and gives the position. The change that it supersedes
// stays for a while without its content, so that both stay taken.
type stateRecord struct {
	ID       string      `bson:"_id"` // shard and position
	Of       string      `bson:"i"`
	Revision int64       `bson:"v"`
	Live     bool        `bson:"l,omitempty"` // not known to be superseded
	Gone     time.Time   `bson:"x,omitempty"` // when it was superseded
	Token    bson.Binary `bson:"b"`
	Record   bson.Binary `bson:"r"` // ego.v1.DurableState; absent once superseded
}

// keepSuperseded is how long a superseded change keeps its position and revision taken. A write knows what it read at most
// [longest] before; only one that reaches the server later than this could take a number again.
const keepSuperseded = time.Hour

// statePlace returns the _id of a change. Within a shard its order is that of the positions.
func statePlace(shard uint32, position uint64) string {
	return fmt.Sprintf("%03x-%016x", shard, position)
}

func placeOfState(id string) (shard uint32, position uint64, err error) {
	if len(id) != 20 {
		return 0, 0, fmt.Errorf("a state has the id %q", id)
	}
	high, err := strconv.ParseUint(id[:3], 16, 32)
	if err != nil {
		return 0, 0, err
	}
	position, err = strconv.ParseUint(id[4:], 16, 64)
	return uint32(high), position, err
}

func (r *stateRecord) decode() (*egopb.DurableState, error) {
	state := new(egopb.DurableState)
	if err := proto.Unmarshal(r.Record.Data, state); err != nil {
		return nil, err
	}
	var err error
	state.Shard, state.Position, err = placeOfState(r.ID)
	return state, err
}

// latestState returns the latest change of an entity, nil when it is unknown.
func (c *session) latestState(ctx context.Context, id string) (*stateRecord, error) {
	filter := bson.D{{Key: "i", Value: id}, {Key: "l", Value: true}}
	return findOne[stateRecord](ctx, c.states, filter, options.FindOne().SetSort(bson.D{{Key: "v", Value: -1}}))
}

// findOne returns the first document that matches, nil when there is none.
func findOne[D any](ctx context.Context, from *driver.Collection, filter any, opts ...options.Lister[options.FindOneOptions]) (*D, error) {
	found := new(D)
	err := from.FindOne(ctx, filter, opts...).Decode(found)
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// lastState returns the _id of the last change before a place, "" when there is none.
func (c *session) lastState(ctx context.Context, before string, filter ...bson.E) (string, error) {
	bound := bson.D{{Key: "$lt", Value: before}}
	for _, f := range filter {
		bound = append(bound, f)
	}
	found, err := findOne[stateRecord](ctx, c.states, bson.D{{Key: "_id", Value: bound}},
		options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || found == nil {
		return "", err
	}
	return found.ID, nil
}

// GetLatestState implements [persistence.StateStore].
func (s *Store) GetLatestState(ctx context.Context, persistenceID string) (state *egopb.DurableState, err error) {
	err = s.read(ctx, "read a state from", func(ctx context.Context, c *session) error {
		found, err := c.latestState(ctx, persistenceID)
		if err != nil || found == nil {
			return err
		}
		state, err = found.decode()
		return err
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

// GetShardStates implements [persistence.StateStore]. A change that was superseded a moment ago and is still there is
// passed over, so what is returned is always the latest of its entity.
func (s *Store) GetShardStates(ctx context.Context, shard uint32, afterPosition uint64, limit int) (states []*egopb.DurableState, err error) {
	if err := s.checkPage(shard, limit); err != nil {
		return nil, err
	}
	if afterPosition == ^uint64(0) {
		return nil, s.check(ctx)
	}
	err = s.read(ctx, "read states of a shard from", func(ctx context.Context, c *session) error {
		states = nil
		after := statePlace(shard, afterPosition)
		for len(states) < limit {
			page, err := c.statePage(ctx, shard, after, limit-len(states))
			if err != nil || len(page) == 0 {
				return err
			}
			after = page[len(page)-1].ID
			latest, err := c.onlyLatest(ctx, page)
			if err != nil {
				return err
			}
			for _, r := range latest {
				state, err := r.decode()
				if err != nil {
					return err
				}
				states = append(states, state)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

func (c *session) statePage(ctx context.Context, shard uint32, after string, limit int) (page []*stateRecord, err error) {
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lt", Value: statePlace(shard+1, 0)}}}, {Key: "l", Value: true}}
	size := 0
	err = each(ctx, c.states, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)), func(raw bson.Raw) (bool, error) {
		r := new(stateRecord)
		page, size = append(page, r), size+len(raw)
		return size < pageBytes, bson.Unmarshal(raw, r)
	})
	return page, err
}

// onlyLatest drops changes that have been superseded.
func (c *session) onlyLatest(ctx context.Context, page []*stateRecord) ([]*stateRecord, error) {
	ids := make(bson.A, len(page))
	for i, r := range page {
		ids[i] = r.Of
	}
	latest := make(map[string]int64)
	filter := bson.D{{Key: "i", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "l", Value: true}}
	fields := options.Find().SetProjection(bson.D{{Key: "i", Value: 1}, {Key: "v", Value: 1}})
	err := each(ctx, c.states, filter, fields, func(raw bson.Raw) (bool, error) {
		var r stateRecord
		err := bson.Unmarshal(raw, &r)
		latest[r.Of] = max(latest[r.Of], r.Revision)
		return true, err
	})
	kept := page[:0]
	for _, r := range page {
		if latest[r.Of] <= r.Revision {
			kept = append(kept, r)
		}
	}
	return kept, err
}

// ShardStatePositions implements [persistence.StateStore]. It takes a look-up for each shard that has states.
func (s *Store) ShardStatePositions(ctx context.Context) (map[uint32]uint64, error) {
	positions := make(map[uint32]uint64)
	err := s.read(ctx, "read positions from", func(ctx context.Context, c *session) error {
		for before := statePlace(s.shards, 0); ; {
			last, err := c.lastState(ctx, before)
			if err != nil || last == "" {
				return err
			}
			shard, position, err := placeOfState(last)
			if err != nil {
				return err
			}
			positions[shard] = position
			before = statePlace(shard, 0)
		}
	})
	if err != nil {
		return nil, err
	}
	return positions, nil
}
