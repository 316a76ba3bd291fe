package persistencetest_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

// A committer is CommitOffset of a store.
type committer = func(ctx context.Context, lease offsetstore.Lease, position uint64) error

func commits(by func(m *memory.Store) committer) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.commitOffset = by(m) })
}

func brokenOffsets() []broken {
	return []broken{
		{"CommitsNoEpoch", []string{"Offsets/Commit"}, override(func(o *overridden, m *memory.Store) {
			o.offsets = func(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
				offsets, err := m.Offsets(ctx, consumer)
				for _, offset := range offsets {
					offset.Epoch = 0
				}
				return offsets, err
			}
		})},
		{"ListsOffsetsBackwards", []string{"Offsets/Commit", "Offsets/Reset"}, override(func(o *overridden, m *memory.Store) {
			o.offsets = func(ctx context.Context, consumer string) ([]*egopb.Offset, error) {
				offsets, err := m.Offsets(ctx, consumer)
				slices.Reverse(offsets)
				return offsets, err
			}
		})},
		{"IgnoresGoingBack", []string{"Offsets/CommitBackIsRefused"}, commits(func(m *memory.Store) committer {
			return func(ctx context.Context, lease offsetstore.Lease, position uint64) error {
				if err := m.CommitOffset(ctx, lease, position); !errors.Is(err, persistence.ErrInvalidArgument) {
					return err
				}
				return nil
			}
		})},
		{"RefusesSamePosition", []string{"Offsets/Commit", "Offsets/CommitBackIsRefused"}, commits(func(m *memory.Store) committer {
			return func(ctx context.Context, lease offsetstore.Lease, position uint64) error {
				offsets, err := m.Offsets(ctx, lease.Consumer)
				for _, offset := range offsets {
					if offset.GetShard() == lease.Shard && offset.GetPosition() == position {
						return persistence.ErrInvalidArgument
					}
				}
				return errors.Join(err, m.CommitOffset(ctx, lease, position))
			}
		})},
		{"CommitsForAnyEpoch", []string{
			"Offsets/CommitOfStaleLease", "Offsets/ResetEndsLeases", "Offsets/DeletedConsumerKeepsEpochs", "Reopen/LeaseHoldsBetweenProcesses",
		}, commits(commitsForAnyEpoch)},
		{"RefusesInSilence", []string{"Offsets/CommitOfStaleLease", "Offsets/CommitAfterRelease", "Offsets/CommitWithoutLease"},
			commits(func(m *memory.Store) committer {
				return func(ctx context.Context, lease offsetstore.Lease, position uint64) error {
					if err := m.CommitOffset(ctx, lease, position); !errors.Is(err, offsetstore.ErrStaleLease) {
						return err
					}
					return nil
				}
			})},
		{"NeedsNoLease", []string{"Offsets/CommitWithoutLease", "Offsets/CommitAfterRelease"}, commits(func(m *memory.Store) committer {
			return func(ctx context.Context, lease offsetstore.Lease, position uint64) error {
				if current(ctx, m, lease.Consumer, lease.Shard).Owner == "" {
					return m.ResetOffsets(ctx, lease.Consumer, map[uint32]uint64{lease.Shard: position})
				}
				return m.CommitOffset(ctx, lease, position)
			}
		})},
		{"ResetsForwardOnly", []string{"Offsets/Reset"}, override(func(o *overridden, m *memory.Store) {
			o.resetOffsets = func(ctx context.Context, consumer string, positions map[uint32]uint64) error {
				offsets, err := m.Offsets(ctx, consumer)
				positions = maps.Clone(positions)
				for _, offset := range offsets {
					if position, ok := positions[offset.GetShard()]; ok {
						positions[offset.GetShard()] = max(position, offset.GetPosition())
					}
				}
				return errors.Join(err, m.ResetOffsets(ctx, consumer, positions))
			}
		})},
		{"ResetsAllShards", []string{"Offsets/Reset", "Offsets/ResetEndsLeases"}, override(func(o *overridden, m *memory.Store) {
			o.resetOffsets = func(ctx context.Context, consumer string, positions map[uint32]uint64) error {
				all := map[uint32]uint64{1: 0, 2: 0}
				maps.Copy(all, positions)
				return m.ResetOffsets(ctx, consumer, all)
			}
		})},
		{"DeletesNoConsumer", []string{"Offsets/DeleteConsumer", "DeadLetters/DeleteConsumer"}, override(func(o *overridden, _ *memory.Store) {
			o.deleteConsumer = func(context.Context, string) error { return nil }
		})},
		{"DeletesByPrefix", []string{"Offsets/DeleteConsumer"}, override(func(o *overridden, m *memory.Store) {
			o.deleteConsumer = func(ctx context.Context, consumer string) error {
				return errors.Join(m.DeleteConsumer(ctx, consumer), m.DeleteConsumer(ctx, consumer+"2"))
			}
		})},
		{"StartsEpochsAgain", []string{"Offsets/DeletedConsumerKeepsEpochs"}, override(func(o *overridden, _ *memory.Store) {
			o.deleteConsumer = func(context.Context, string) error {
				o.Store = memory.NewStore()
				return nil
			}
		})},
		{"SharesOffsets", []string{"Offsets/SharesNothing"}, override(func(o *overridden, m *memory.Store) {
			var shared []*egopb.Offset
			o.offsets = func(ctx context.Context, consumer string) (_ []*egopb.Offset, err error) {
				if shared == nil {
					shared, err = m.Offsets(ctx, consumer)
				}
				return shared, err
			}
		})},
	}
}

// commitsForAnyEpoch takes a stale lease for the current one.
func commitsForAnyEpoch(m *memory.Store) committer {
	return func(ctx context.Context, lease offsetstore.Lease, position uint64) error {
		now := current(ctx, m, lease.Consumer, lease.Shard)
		if now.Owner == "" {
			acquired, err := m.AcquireLeases(ctx, lease.Consumer, lease.Owner, []uint32{lease.Shard}, time.Minute)
			if err != nil {
				return err
			}
			now = acquired[0]
		}
		return m.CommitOffset(ctx, now, position)
	}
}

type (
	parker        = func(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error
	letterReplays = func(ctx context.Context, consumer string, ids ...string) iter.Seq2[*egopb.DeadLetter, error]
)

func parks(by func(m *memory.Store) parker) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.parkEvents = by(m) })
}

func readsLetters(by func(m *memory.Store) letterReplays) func(m *memory.Store) persistencetest.Stores {
	return override(func(o *overridden, m *memory.Store) { o.deadLetters = by(m) })
}

func brokenLetters() []broken {
	return []broken{
		{"ReadsLettersOfAll", []string{"DeadLetters/Park"}, readsLetters(func(m *memory.Store) letterReplays {
			return func(ctx context.Context, _ string, ids ...string) iter.Seq2[*egopb.DeadLetter, error] {
				return m.DeadLetters(ctx, "c", ids...)
			}
		})},
		{"KeepsFirstLetter", []string{"DeadLetters/ParkAgainReplaces"}, parks(func(m *memory.Store) parker {
			return func(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
				for stored, err := range m.DeadLetters(ctx, lease.Consumer) {
					if err != nil {
						return err
					}
					letters = slices.DeleteFunc(slices.Clone(letters), func(letter *egopb.DeadLetter) bool {
						return letter.GetEvent().GetPosition() == stored.GetEvent().GetPosition()
					})
				}
				return m.ParkEvents(ctx, lease, letters)
			}
		})},
		{"ParksForAnyEpoch", []string{"DeadLetters/ParkNeedsLease"}, parks(func(m *memory.Store) parker {
			return func(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
				return m.ParkEvents(ctx, current(ctx, m, lease.Consumer, lease.Shard), letters)
			}
		})},
		{"ParksOneByOne", []string{"DeadLetters/ParkIsAtomic"}, parks(func(m *memory.Store) parker {
			return func(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
				for _, letter := range letters {
					if err := m.ParkEvents(ctx, lease, []*egopb.DeadLetter{letter}); err != nil {
						return err
					}
				}
				return nil
			}
		})},
		{"ReadsLettersBackwards", []string{"DeadLetters/InOrder", "DeadLetters/Park"}, readsLetters(readsBackwards)},
		{"IgnoresEntities", []string{"DeadLetters/ByEntity"}, readsLetters(func(m *memory.Store) letterReplays {
			return func(ctx context.Context, consumer string, _ ...string) iter.Seq2[*egopb.DeadLetter, error] {
				return m.DeadLetters(ctx, consumer)
			}
		})},
		{"ListsEntitiesPerLetter", []string{"DeadLetters/ParkedEntities"}, override(func(o *overridden, m *memory.Store) {
			o.parkedEntities = func(ctx context.Context, consumer string, shard uint32) (ids []string, _ error) {
				for letter, err := range m.DeadLetters(ctx, consumer) {
					if err != nil {
						return nil, err
					}
					if letter.GetEvent().GetShard() == shard {
						ids = append(ids, letter.GetEvent().GetPersistenceId())
					}
				}
				slices.Sort(ids)
				return ids, nil
			}
		})},
		{"ResetKeepsLetters", []string{"DeadLetters/ResetOffsetsForgetsThoseAbove"}, override(func(o *overridden, m *memory.Store) {
			o.resetOffsets = func(ctx context.Context, consumer string, positions map[uint32]uint64) error {
				var kept []*egopb.DeadLetter
				for letter, err := range m.DeadLetters(ctx, consumer) {
					if err != nil {
						return err
					}
					kept = append(kept, letter)
				}
				if err := m.ResetOffsets(ctx, consumer, positions); err != nil {
					return err
				}
				for _, letter := range kept {
					leases, err := m.AcquireLeases(ctx, consumer, "one", []uint32{letter.GetEvent().GetShard()}, time.Hour)
					if err != nil {
						return err
					}
					if err := m.ParkEvents(ctx, leases[0], []*egopb.DeadLetter{letter}); err != nil {
						return err
					}
				}
				return nil
			}
		})},
		{"DeletesOneLetter", []string{"DeadLetters/Delete"}, override(func(o *overridden, m *memory.Store) {
			o.deleteDeadLetters = func(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
				return m.DeleteDeadLetters(ctx, consumer, shard, positions[:min(len(positions), 1)]...)
			}
		})},
		{"DeletesLettersOfAllShards", []string{"DeadLetters/Delete"}, override(func(o *overridden, m *memory.Store) {
			o.deleteDeadLetters = func(ctx context.Context, consumer string, _ uint32, positions ...uint64) error {
				return errors.Join(
					m.DeleteDeadLetters(ctx, consumer, 0, positions...),
					m.DeleteDeadLetters(ctx, consumer, 1, positions...),
				)
			}
		})},
		{"DropsLetterTime", []string{"DeadLetters/AllFields"}, parks(func(m *memory.Store) parker {
			return func(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
				letters = slices.Clone(letters)
				for i, letter := range letters {
					letters[i] = proto.CloneOf(letter)
					letters[i].TimeUnixNano = 0
				}
				return m.ParkEvents(ctx, lease, letters)
			}
		})},
		{"KeepsLetters", []string{"DeadLetters/KeepsAndSharesNothing"}, override(func(o *overridden, _ *memory.Store) {
			var kept []*egopb.DeadLetter
			o.parkEvents = func(_ context.Context, _ offsetstore.Lease, letters []*egopb.DeadLetter) error {
				kept = append(kept, letters...)
				return nil
			}
			o.deadLetters = func(context.Context, string, ...string) iter.Seq2[*egopb.DeadLetter, error] {
				return func(yield func(*egopb.DeadLetter, error) bool) {
					for _, letter := range kept {
						if !yield(letter, nil) {
							return
						}
					}
				}
			}
		})},
	}
}

func readsBackwards(m *memory.Store) letterReplays {
	return func(ctx context.Context, consumer string, ids ...string) iter.Seq2[*egopb.DeadLetter, error] {
		return func(yield func(*egopb.DeadLetter, error) bool) {
			var all []*egopb.DeadLetter
			for letter, err := range m.DeadLetters(ctx, consumer, ids...) {
				if err != nil {
					yield(nil, err)
					return
				}
				all = append(all, letter)
			}
			for _, letter := range slices.Backward(all) {
				if !yield(letter, nil) {
					return
				}
			}
		}
	}
}
