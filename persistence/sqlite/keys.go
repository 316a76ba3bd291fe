package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

var _ encryption.KeyStore = (*Store)(nil)

const (
	// One statement, so that the keys and the life are from one moment. A row without a record is the life.
	selectDataKeys = `SELECT phase, erasures, NULL FROM ego_lives WHERE persistence_id = ?1
		UNION ALL SELECT 0, 0, record FROM ego_data_keys WHERE persistence_id = ?1`
	selectLastKeyVersion = `SELECT coalesce(max(version), 0) FROM ego_data_keys WHERE persistence_id = ?`
	selectKeyExists      = `SELECT 1 FROM ego_data_keys WHERE persistence_id = ? AND key_id = ?`
	insertDataKey        = `INSERT INTO ego_data_keys (persistence_id, version, key_id, master_key_id, destroyed, record)
		VALUES (?, ?, ?, ?, 0, ?)`
	updateDataKey = `UPDATE ego_data_keys SET master_key_id = ?1, record = ?2
		WHERE persistence_id = ?3 AND version = ?4 AND key_id = ?5 AND master_key_id = ?6 AND destroyed = 0`
	selectKeyPage = `SELECT record FROM ego_data_keys
		WHERE (persistence_id, version) > (?, ?) AND destroyed = 0 ORDER BY persistence_id, version LIMIT ?`
)

// DataKeys implements [encryption.KeyStore].
func (s *Store) DataKeys(ctx context.Context, persistenceID string) (keys []*egopb.DataKey, life encryption.Life, err error) {
	err = s.read(ctx, "read keys from", selectDataKeys, func(rows *sql.Rows) error {
		var (
			stored encryption.Life
			record sql.RawBytes
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
	}, persistenceID)
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
	return persistence.CheckID(key.GetPersistenceId())
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
	return s.write(ctx, write{op: "add a key to", run: func(_ context.Context, t *tx) error {
		if life, err := lifeOf(t, id); err != nil {
			return err
		} else if life.Phase != encryption.Alive {
			return &encryption.ErasedError{PersistenceID: id}
		}
		var last uint64
		if _, err := t.queryOne(selectLastKeyVersion, []any{id}, &last); err != nil {
			return err
		}
		var one int
		taken, err := t.queryOne(selectKeyExists, []any{id, key.GetKeyId()}, &one)
		if err != nil {
			return err
		}
		if taken || key.GetVersion() != last+1 {
			return fmt.Errorf("%w: entity %q has %d", encryption.ErrKeyConflict, id, last)
		}
		return t.exec(insertDataKey, id, number(key.GetVersion()), key.GetKeyId(), key.GetMasterKeyId(), record)
	}})
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
	return s.write(ctx, write{op: "replace a key in", run: func(_ context.Context, t *tx) error {
		result, err := t.execResult(updateDataKey, key.GetMasterKeyId(), record, id, number(key.GetVersion()), key.GetKeyId(), formerMasterKeyID)
		if err != nil {
			return err
		}
		if changed, err := result.RowsAffected(); err != nil || changed == 0 {
			return errors.Join(err, fmt.Errorf("%w: version %d of entity %q", encryption.ErrKeyConflict, key.GetVersion(), id))
		}
		return nil
	}})
}

// ListDataKeys implements [encryption.KeyStore].
func (s *Store) ListDataKeys(ctx context.Context, afterPersistenceID string, afterVersion uint64, limit int) ([]*egopb.DataKey, error) {
	if err := encryption.CheckLimit(limit); err != nil {
		return nil, persistence.DefinitelyNotWritten(err)
	}
	var keys []*egopb.DataKey
	err := s.read(ctx, "list keys of", selectKeyPage, func(rows *sql.Rows) error {
		key, err := scanMessage(rows, new(egopb.DataKey))
		keys = append(keys, key)
		return err
	}, afterPersistenceID, int64(min(afterVersion, math.MaxInt64)), limit)
	if err != nil {
		return nil, err
	}
	return keys, nil
}
