package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

var _ encryption.KeyStore = (*Store)(nil)

const (
	// One statement, so that the keys and the life are from one moment. A row without a record is the life.
	selectDataKeys = `SELECT phase, erasures, NULL::bytea FROM ego.lives WHERE persistence_id = $1
		UNION ALL SELECT 0, 0, record FROM ego.data_keys WHERE persistence_id = $1`
	selectKeyVersions = `SELECT coalesce(max(version), 0), coalesce(bool_or(key_id = $2), false) FROM ego.data_keys WHERE persistence_id = $1`
	insertDataKey     = `INSERT INTO ego.data_keys (persistence_id, version, key_id, master_key_id, record) VALUES ($1, $2, $3, $4, $5)`
	updateDataKey     = `UPDATE ego.data_keys SET master_key_id = $1, record = $2
		WHERE persistence_id = $3 AND version = $4 AND key_id = $5 AND master_key_id = $6 AND NOT destroyed`
	selectKeyPage = `SELECT record FROM ego.data_keys
		WHERE (persistence_id, version) > ($1, $2) AND NOT destroyed ORDER BY persistence_id, version LIMIT $3`
)

// DataKeys implements [encryption.KeyStore].
func (s *Store) DataKeys(ctx context.Context, persistenceID string) (keys []*egopb.DataKey, life encryption.Life, err error) {
	if !isText(persistenceID) {
		return nil, encryption.Life{}, s.check(ctx)
	}
	begin := func() { keys, life = nil, encryption.Life{} }
	err = s.read(ctx, "read keys from", selectDataKeys, []any{persistenceID}, begin, func(rows pgx.Rows) error {
		var (
			stored encryption.Life
			record []byte
		)
		if err := rows.Scan(&stored.Phase, &stored.Erasures, &record); err != nil {
			return err
		}
		if record == nil {
			life = stored
			return nil
		}
		key := new(egopb.DataKey)
		keys = append(keys, key)
		return proto.Unmarshal(record, key)
	})
	if err != nil {
		return nil, encryption.Life{}, err
	}
	slices.SortFunc(keys, func(a, b *egopb.DataKey) int { return cmp.Compare(a.GetVersion(), b.GetVersion()) })
	return keys, life, nil
}

// checkKey returns the error for a key that cannot be stored.
func checkKey(key *egopb.DataKey) error {
	if err := encryption.CheckDataKey(key); err != nil {
		return persistence.DefinitelyNotWritten(err)
	}
	id := key.GetPersistenceId()
	return cmp.Or(persistence.CheckID(id), checkText(id, "key id", key.GetKeyId()), checkText(id, "master key id", key.GetMasterKeyId()))
}

// AddDataKey implements [encryption.KeyStore].
func (s *Store) AddDataKey(ctx context.Context, key *egopb.DataKey) error {
	if err := checkKey(key); err != nil {
		return err
	}
	id := key.GetPersistenceId()
	record, err := marshal(id, key)
	if err != nil {
		return err
	}
	return s.changeKeys(ctx, "add a key to", id, func(ctx context.Context, tx pgx.Tx, life encryption.Life) error {
		if life.Phase != encryption.Alive {
			return &encryption.ErasedError{PersistenceID: id}
		}
		var (
			last  uint64
			taken bool
		)
		if err := tx.QueryRow(ctx, s.sql(selectKeyVersions), id, key.GetKeyId()).Scan(&last, &taken); err != nil {
			return err
		}
		if taken || key.GetVersion() != last+1 {
			return fmt.Errorf("%w: entity %q has %d", encryption.ErrKeyConflict, id, last)
		}
		_, err := tx.Exec(ctx, s.sql(insertDataKey), id, number(key.GetVersion()), key.GetKeyId(), key.GetMasterKeyId(), record)
		return err
	})
}

// ReplaceDataKey implements [encryption.KeyStore].
func (s *Store) ReplaceDataKey(ctx context.Context, key *egopb.DataKey, formerMasterKeyID string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	id := key.GetPersistenceId()
	record, err := marshal(id, key)
	if err != nil {
		return err
	}
	return s.changeKeys(ctx, "replace a key in", id, func(ctx context.Context, tx pgx.Tx, _ encryption.Life) error {
		changed, err := tx.Exec(ctx, s.sql(updateDataKey),
			key.GetMasterKeyId(), record, id, number(key.GetVersion()), key.GetKeyId(), formerMasterKeyID)
		if err == nil && changed.RowsAffected() == 0 {
			err = fmt.Errorf("%w: version %d of entity %q", encryption.ErrKeyConflict, key.GetVersion(), id)
		}
		return err
	})
}

// ListDataKeys implements [encryption.KeyStore].
func (s *Store) ListDataKeys(ctx context.Context, afterPersistenceID string, afterVersion uint64, limit int) ([]*egopb.DataKey, error) {
	if err := encryption.CheckLimit(limit); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	return readAll(ctx, s, "list keys of", selectKeyPage, []any{afterPersistenceID, number(afterVersion), limit},
		func(rows pgx.Rows) (*egopb.DataKey, error) { return scanMessage(rows, new(egopb.DataKey)) })
}
