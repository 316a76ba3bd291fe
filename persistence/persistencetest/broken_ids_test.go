package persistencetest_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// A lister is PersistenceIDs of a store.
type lister = func(ctx context.Context, size int, token string) ([]string, string, error)

func lists(by func(m *memory.Store) lister) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.persistenceIDs = by(m) })
}

// byIndex lists ids in some order by their index, which shifts when others come in between.
func byIndex(compare func(a, b string) int) func(m *memory.Store) lister {
	return func(m *memory.Store) lister {
		return func(ctx context.Context, size int, token string) ([]string, string, error) {
			from := 0
			if token != "" {
				var err error
				if from, err = strconv.Atoi(token); err != nil {
					return nil, "", err
				}
			}
			ids, _, err := m.PersistenceIDs(ctx, 1_000, "")
			if err != nil || size < 1 {
				return nil, "", errors.Join(err, errors.New("no page"))
			}
			slices.SortStableFunc(ids, compare)
			end := min(from+size, len(ids))
			if end == len(ids) {
				return ids[from:], "", nil
			}
			return ids[from:end], strconv.Itoa(end), nil
		}
	}
}

func brokenIDs() []broken {
	return []broken{
		{"FoldsIDs", []string{"Events/OddIDs", "Events/PersistenceIDsInByteOrder"}, altered(func(event *egopb.Event) {
			event.PersistenceId = cmp.Or(fold(event.GetPersistenceId()), event.GetPersistenceId())
		})},
		{"CutsIDs", []string{"Events/OddIDs"}, altered(func(event *egopb.Event) {
			event.PersistenceId = event.GetPersistenceId()[:min(len(event.GetPersistenceId()), 255)]
		})},
		{"SkipsOneBetweenPages", []string{"Events/PersistenceIDsByPage"}, lists(func(m *memory.Store) lister {
			return func(ctx context.Context, size int, token string) ([]string, string, error) {
				ids, next, err := m.PersistenceIDs(ctx, size+1, token)
				return ids[:min(len(ids), size)], next, err
			}
		})},
		{"ListsByLanguage", []string{"Events/PersistenceIDsInByteOrder"}, lists(byIndex(func(a, b string) int {
			return strings.Compare(strings.ToLower(a), strings.ToLower(b))
		}))},
		{"ListsByIndex", []string{"Events/PersistenceIDsWhileWriting"}, lists(byIndex(strings.Compare))},
		{"HidesDeletedEntities", []string{"Events/PersistenceIDsOfDeletedEntities"}, lists(func(m *memory.Store) lister {
			return func(ctx context.Context, size int, token string) ([]string, string, error) {
				ids, next, err := m.PersistenceIDs(ctx, size, token)
				ids = slices.DeleteFunc(ids, func(id string) bool {
					latest, err := m.GetLatestEvent(ctx, id)
					return err == nil && latest.GetDeleted()
				})
				return ids, next, err
			}
		})},
		{"TakesAnyPageSize", []string{"Events/PersistenceIDsInvalidPageSize"}, lists(func(m *memory.Store) lister {
			return func(ctx context.Context, size int, token string) ([]string, string, error) {
				return m.PersistenceIDs(ctx, max(size, 1), token)
			}
		})},
	}
}
