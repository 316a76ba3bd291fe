package mongo

import (
	"context"
	"errors"
	"math"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// register notes the entities that a batch begins, before it is written. A batch that is not written after all leaves notes of
// entities that do not exist; who lists entities asks the log.
func (j *journal) register(ctx context.Context, b *batch) error {
	if len(b.created) == 0 || b.registered {
		return nil
	}
	notes := make([]bson.D, len(b.created))
	for i, id := range b.created {
		notes[i] = bson.D{{Key: "_id", Value: id}}
	}
	_, err := j.entities.InsertMany(ctx, notes, options.InsertMany().SetOrdered(false))
	var bulk driver.BulkWriteException
	if errors.As(err, &bulk) && bulk.WriteConcernError == nil {
		err = nil
		for _, failure := range bulk.WriteErrors {
			if failure.Code != codeDuplicateKey {
				err = bulk
			}
		}
	}
	b.registered = err == nil
	return err
}

// PersistenceIDs implements [persistence.EventsStore]. The token is the last id of the page before.
func (s *Store) PersistenceIDs(ctx context.Context, pageSize int, pageToken string) (ids []string, next string, err error) {
	if pageSize < 1 {
		return nil, "", invalid("page size %d is below one", pageSize)
	}
	err = s.read(ctx, "list entities of", func(ctx context.Context, c *session) error {
		ids, next = nil, pageToken
		for len(ids) < pageSize {
			wanted := min(pageSize-len(ids), math.MaxInt16)
			noted, err := c.journal.noted(ctx, next, wanted)
			if err != nil {
				return err
			}
			exist, err := c.journal.begun(ctx, noted)
			if err != nil {
				return err
			}
			for _, id := range noted {
				if exist[id] {
					ids = append(ids, id)
				}
			}
			if len(noted) < wanted {
				next = ""
				return nil
			}
			next = noted[len(noted)-1]
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return ids, next, nil
}

// noted returns the next ids that were noted, at most limit.
func (j *journal) noted(ctx context.Context, after string, limit int) (ids []string, err error) {
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}
	order := options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit))
	err = each(ctx, j.entities, filter, order, func(raw bson.Raw) (bool, error) {
		ids = append(ids, raw.Lookup("_id").StringValue())
		return true, nil
	})
	return ids, err
}

// begun returns which of the entities have events.
func (j *journal) begun(ctx context.Context, ids []string) (map[string]bool, error) {
	exist := make(map[string]bool, len(ids))
	if len(ids) == 0 {
		return exist, nil
	}
	filter := bson.D{{Key: "c", Value: bson.D{{Key: "$in", Value: ids}}}}
	err := each(ctx, j.log, filter, options.Find().SetProjection(bson.D{{Key: "c", Value: 1}}), func(raw bson.Raw) (bool, error) {
		var e struct {
			Created []string `bson:"c"`
		}
		err := bson.Unmarshal(raw, &e)
		for _, id := range e.Created {
			exist[id] = true
		}
		return true, err
	})
	return exist, err
}
