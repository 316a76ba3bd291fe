package memory

import (
	"context"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/persistence"
)

var _ encryption.KeyStore = (*Store)(nil)

// DataKeys implements [encryption.KeyStore].
func (s *Store) DataKeys(ctx context.Context, persistenceID string) ([]*egopb.DataKey, encryption.Life, error) {
	if err := s.ready(ctx); err != nil {
		return nil, encryption.Life{}, err
	}
	return s.keys.DataKeys(ctx, persistenceID)
}

// AddDataKey implements [encryption.KeyStore].
func (s *Store) AddDataKey(ctx context.Context, key *egopb.DataKey) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.keys.AddDataKey(ctx, key)
}

// ReplaceDataKey implements [encryption.KeyStore].
func (s *Store) ReplaceDataKey(ctx context.Context, key *egopb.DataKey, formerMasterKeyID string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return s.keys.ReplaceDataKey(ctx, key, formerMasterKeyID)
}

// ListDataKeys implements [encryption.KeyStore].
func (s *Store) ListDataKeys(ctx context.Context, afterPersistenceID string, afterVersion uint64, limit int) ([]*egopb.DataKey, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.keys.ListDataKeys(ctx, afterPersistenceID, afterVersion, limit)
}

// BeginErasure implements [encryption.Erasures].
func (s *Store) BeginErasure(ctx context.Context, persistenceID string) error {
	return s.changeLife(ctx, persistenceID, s.keys.BeginErasure)
}

// FinishErasure implements [encryption.Erasures].
func (s *Store) FinishErasure(ctx context.Context, persistenceID string) error {
	return s.changeLife(ctx, persistenceID, s.keys.FinishErasure)
}

// Revive implements [encryption.Erasures].
func (s *Store) Revive(ctx context.Context, persistenceID string) error {
	return s.changeLife(ctx, persistenceID, s.keys.Revive)
}

func (s *Store) changeLife(ctx context.Context, persistenceID string, change func(ctx context.Context, persistenceID string) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := persistence.CheckID(persistenceID); err != nil {
		return err
	}
	return change(ctx, persistenceID)
}

// LifeOf implements [encryption.Erasures].
func (s *Store) LifeOf(ctx context.Context, persistenceID string) (encryption.Life, error) {
	if err := s.ready(ctx); err != nil {
		return encryption.Life{}, err
	}
	return s.keys.LifeOf(ctx, persistenceID)
}

// PendingErasures implements [encryption.Erasures].
func (s *Store) PendingErasures(ctx context.Context, after string, limit int) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.keys.PendingErasures(ctx, after, limit)
}
