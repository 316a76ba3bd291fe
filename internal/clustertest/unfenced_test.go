package clustertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/postgres"
)

// unfencedStore is a store in which the last writer wins: who is refused makes room for what it writes.
type unfencedStore struct {
	*postgres.Store
	pool   *pgxpool.Pool
	schema string
}

func (s *unfencedStore) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	for {
		err := s.Store.WriteEvents(ctx, events)
		conflict, ok := errors.AsType[*persistence.ConflictError](err)
		if !ok || conflict.Expected > conflict.Actual {
			return err
		}
		_, err = s.pool.Exec(ctx, `DELETE FROM `+pgx.Identifier{s.schema, "events"}.Sanitize()+` WHERE persistence_id = $1 AND sequence_number >= $2`,
			conflict.PersistenceID, conflict.Expected)
		if err != nil {
			return err
		}
	}
}

// Two clusters that do not know each other have all entities live twice, as in a split brain without a quorum. With the fence of
// the store nothing is lost, doubled or older than it may be. Without it the checker finds what was.
func TestSplitBrain(t *testing.T) { // G1, G2, G8
	for name, unfenced := range map[string]bool{"Fenced": false, "CheckerFindsAMissingFence": true} {
		t.Run(name, func(t *testing.T) {
			first := newCluster(t, 1, func(_ int, spec *nodeSpec) { spec.Unfenced = unfenced })
			other := newCluster(t, 1, func(_ int, spec *nodeSpec) {
				spec.URL, spec.Schema, spec.Unfenced = first.nodes[0].spec.URL, first.nodes[0].spec.Schema, unfenced
			})
			both := &testCluster{t: t, nodes: append(first.nodes, other.nodes...)}
			l := both.startLoad(6, 12)
			begun := time.Now()
			await(t, "both have acknowledged enough", func() bool {
				entities, ops := l.acknowledged(begun)
				return entities == 12 && ops > 300 || unfenced && l.damaged()
			})
			acknowledged, err := l.verdict()
			t.Logf("%d acknowledged deposits, and: %v", acknowledged, err)
			if unfenced {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}
