package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

const (
	// Whoever changes the keys or the life of an entity holds this lock until the commit, so that no key is added beside
	// an erasure.
	lockKeys = `SELECT pg_advisory_xact_lock(hashtextextended('ego keys ' || $1 || ' ' || $2, 0))`

	selectLife = `SELECT phase, erasures FROM ego.lives WHERE persistence_id = $1`
	beginLife  = `INSERT INTO ego.lives AS l (persistence_id, phase, erasures) VALUES ($1, 1, 1)
		ON CONFLICT (persistence_id) DO UPDATE SET phase = 1, erasures = l.erasures + CASE WHEN l.phase = 1 THEN 0 ELSE 1 END`
	finishLife = `UPDATE ego.lives SET phase = 2 WHERE persistence_id = $1 AND phase = 1`
	reviveLife = `UPDATE ego.lives SET phase = 0 WHERE persistence_id = $1`

	selectLiveKeys = `SELECT record FROM ego.data_keys WHERE persistence_id = $1 AND NOT destroyed`
	destroyDataKey = `UPDATE ego.data_keys SET destroyed = true, record = $1 WHERE persistence_id = $2 AND version = $3`

	selectErasing = `SELECT persistence_id FROM ego.lives WHERE phase = 1 AND persistence_id > $1 ORDER BY persistence_id LIMIT $2`
)

// changeKeys runs a change of the keys or the life of an entity in a transaction, alone.
func (s *Store) changeKeys(ctx context.Context, op, id string, change func(ctx context.Context, tx pgx.Tx, life encryption.Life) error) error {
	if err := persistence.CheckID(id); err != nil {
		return err
	}
	return s.transact(ctx, op, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockKeys, s.schema, id); err != nil {
			return err
		}
		var life encryption.Life
		err := tx.QueryRow(ctx, s.sql(selectLife), id).Scan(&life.Phase, &life.Erasures)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return change(ctx, tx, life)
	})
}

// BeginErasure implements [encryption.Erasures]. A dump has nothing of the keys afterwards. In the files of the server they
// stay until a vacuum has overwritten them, and in its log for as long as that is kept: wrap them, so that they are
// useless there.
func (s *Store) BeginErasure(ctx context.Context, persistenceID string) error {
	return s.changeKeys(ctx, "begin an erasure in", persistenceID, func(ctx context.Context, tx pgx.Tx, _ encryption.Life) error {
		rows, err := tx.Query(ctx, s.sql(selectLiveKeys), persistenceID)
		if err != nil {
			return err
		}
		records, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return err
		}
		for _, record := range records {
			key := new(egopb.DataKey)
			if err := proto.Unmarshal(record, key); err != nil {
				return err
			}
			left, err := proto.Marshal(encryption.Destroyed(key))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, s.sql(destroyDataKey), left, persistenceID, number(key.GetVersion())); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, s.sql(beginLife), persistenceID)
		return err
	})
}

// FinishErasure implements [encryption.Erasures].
func (s *Store) FinishErasure(ctx context.Context, persistenceID string) error {
	return s.changeKeys(ctx, "finish an erasure in", persistenceID, func(ctx context.Context, tx pgx.Tx, _ encryption.Life) error {
		_, err := tx.Exec(ctx, s.sql(finishLife), persistenceID)
		return err
	})
}

// Revive implements [encryption.Erasures].
func (s *Store) Revive(ctx context.Context, persistenceID string) error {
	return s.changeKeys(ctx, "revive an entity in", persistenceID, func(ctx context.Context, tx pgx.Tx, life encryption.Life) error {
		if life.Phase == encryption.Erasing {
			return &encryption.ErasedError{PersistenceID: persistenceID}
		}
		_, err := tx.Exec(ctx, s.sql(reviveLife), persistenceID)
		return err
	})
}

// LifeOf implements [encryption.Erasures].
func (s *Store) LifeOf(ctx context.Context, persistenceID string) (life encryption.Life, err error) {
	if !isText(persistenceID) {
		return encryption.Life{}, s.check(ctx)
	}
	_, err = s.readOne(ctx, "read a life from", selectLife, []any{persistenceID}, &life.Phase, &life.Erasures)
	return life, err
}

// PendingErasures implements [encryption.Erasures].
func (s *Store) PendingErasures(ctx context.Context, after string, limit int) ([]string, error) {
	if err := encryption.CheckLimit(limit); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	return readAll(ctx, s, "read pending erasures from", selectErasing, []any{after, limit}, func(rows pgx.Rows) (id string, err error) {
		return id, rows.Scan(&id)
	})
}
