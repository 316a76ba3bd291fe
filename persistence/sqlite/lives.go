package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

const (
	selectLife = `SELECT phase, erasures FROM ego_lives WHERE persistence_id = ?`
	beginLife  = `INSERT INTO ego_lives (persistence_id, phase, erasures) VALUES (?, 1, 1)
		ON CONFLICT DO UPDATE SET phase = 1, erasures = erasures + (phase <> 1)`
	finishLife = `UPDATE ego_lives SET phase = 2 WHERE persistence_id = ? AND phase = 1`
	reviveLife = `UPDATE ego_lives SET phase = 0 WHERE persistence_id = ?`

	selectLiveKeys = `SELECT record FROM ego_data_keys WHERE persistence_id = ? AND destroyed = 0`
	destroyDataKey = `UPDATE ego_data_keys SET destroyed = 1, record = ? WHERE persistence_id = ? AND version = ?`

	selectErasing = `SELECT persistence_id FROM ego_lives WHERE phase = 1 AND persistence_id > ? ORDER BY persistence_id LIMIT ?`
)

func lifeOf(t *tx, id string) (life encryption.Life, err error) {
	_, err = t.queryOne(selectLife, []any{id}, &life.Phase, &life.Erasures)
	return life, err
}

// BeginErasure implements [encryption.Erasures]. The file is clean of the keys after [Store.Scrub].
func (s *Store) BeginErasure(ctx context.Context, persistenceID string) error {
	if err := persistence.CheckID(persistenceID); err != nil {
		return err
	}
	return s.write(ctx, write{op: "begin an erasure in", run: func(_ context.Context, t *tx) error {
		var keys []*egopb.DataKey
		err := t.query(selectLiveKeys, func(rows *sql.Rows) error {
			key, err := scanMessage(rows, new(egopb.DataKey))
			keys = append(keys, key)
			return err
		}, persistenceID)
		if err != nil {
			return err
		}
		for _, key := range keys {
			record, err := proto.Marshal(encryption.Destroyed(key))
			if err != nil {
				return err
			}
			if err := t.exec(destroyDataKey, record, persistenceID, number(key.GetVersion())); err != nil {
				return err
			}
		}
		return t.exec(beginLife, persistenceID)
	}})
}

// FinishErasure implements [encryption.Erasures].
func (s *Store) FinishErasure(ctx context.Context, persistenceID string) error {
	return s.write(ctx, write{op: "finish an erasure in", run: func(_ context.Context, t *tx) error {
		return t.exec(finishLife, persistenceID)
	}})
}

// Revive implements [encryption.Erasures].
func (s *Store) Revive(ctx context.Context, persistenceID string) error {
	return s.write(ctx, write{op: "revive an entity in", run: func(_ context.Context, t *tx) error {
		life, err := lifeOf(t, persistenceID)
		if err != nil {
			return err
		}
		if life.Phase == encryption.Erasing {
			return &encryption.ErasedError{PersistenceID: persistenceID}
		}
		return t.exec(reviveLife, persistenceID)
	}})
}

// LifeOf implements [encryption.Erasures].
func (s *Store) LifeOf(ctx context.Context, persistenceID string) (life encryption.Life, err error) {
	_, err = s.readOne(ctx, "read a life from", selectLife, []any{persistenceID}, &life.Phase, &life.Erasures)
	return life, err
}

// PendingErasures implements [encryption.Erasures].
func (s *Store) PendingErasures(ctx context.Context, after string, limit int) ([]string, error) {
	if err := encryption.CheckLimit(limit); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	var ids []string
	err := s.read(ctx, "read pending erasures from", selectErasing, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, after, limit)
	if err != nil {
		return nil, err
	}
	return ids, nil
}

const checkpoint = `PRAGMA wal_checkpoint(TRUNCATE)`

// Scrub implements [persistence.Scrubber]: it copies the write-ahead log to the file and cuts it to nothing. What was
// deleted is overwritten with zeros where it stood, as every connection that writes has secure_delete. It waits, for as
// long as [WithBusyTimeout] says, until nobody reads what the log alone has; then it fails with [ErrLocked].
func (s *Store) Scrub(ctx context.Context) error {
	if err := s.checkOutside(ctx); err != nil {
		return err
	}
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer c.Leave()
	if err := c.lock(ctx); err != nil {
		return s.fail("scrub", err)
	}
	defer c.unlock()
	return s.fail("scrub", c.whileLocked(ctx, func() error {
		var busy, frames, copied int
		if err := c.writer.QueryRowContext(context.Background(), checkpoint).Scan(&busy, &frames, &copied); err != nil {
			return err
		}
		if busy != 0 {
			return errReaders
		}
		return nil
	}))
}

// errReaders reports a log that cannot be cut because somebody reads it. It is a lock like those of SQLite.
var errReaders = busyError{}

type busyError struct{}

func (busyError) Error() string {
	return fmt.Sprintf("the write-ahead log is being read (%d)", codeBusy)
}
func (busyError) Code() int { return codeBusy }
