package workload

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// A Journal is a SQLite store in which each of a few accounts has a long history.
type Journal struct {
	Store  *sqlite.Store
	Length int
	ids    []string
}

// OpenJournal writes a journal of so many events for each of n accounts.
func OpenJournal(dir string, n, length int) (*Journal, error) {
	store, err := OpenSQLite(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{Store: store, Length: length, ids: IDs(n)}
	payload, err := anypb.New(&testpb.Deposited{Amount: 1})
	if err != nil {
		return nil, err
	}
	batch := make([]*egopb.Event, 0, 1000+n)
	for number := 1; number <= length; number++ {
		for _, id := range j.ids {
			batch = append(batch, &egopb.Event{
				PersistenceId: id, SequenceNumber: uint64(max(number, 1)), Kind: "account", Payload: payload, TimeUnixNano: time.Now().UnixNano(),
			})
		}
		if len(batch) >= 1000 || number == length {
			if err := store.WriteEvents(context.Background(), batch); err != nil {
				return nil, err
			}
			batch = batch[:0]
		}
	}
	return j, nil
}

// Close closes the store.
func (j *Journal) Close() error { return j.Store.Disconnect(context.Background()) }

// BareScan reads the journals of the store with the driver alone: one query for each account, each record unmarshalled.
type BareScan struct{ Journal *Journal }

// Sender implements [Side]. A unit is an event.
func (b BareScan) Sender(i int) func() (int, error) {
	return func() (int, error) {
		i++
		return b.scan(b.Journal.ids[i%len(b.Journal.ids)])
	}
}

func (b BareScan) scan(id string) (n int, err error) {
	rows, err := b.Journal.Store.DB().QueryContext(context.Background(),
		"SELECT place, sequence_number, record FROM ego_events WHERE persistence_id = ? ORDER BY sequence_number", id)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var (
			place, number int64
			record        sql.RawBytes
		)
		if err := rows.Scan(&place, &number, &record); err != nil {
			return n, err
		}
		if err := proto.Unmarshal(record, new(egopb.Event)); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Close implements [Side].
func (BareScan) Close() error { return nil }

// Replay reads the journals by [sqlite.Store.ReplayEvents].
type Replay struct{ Journal *Journal }

// Sender implements [Side]. A unit is an event.
func (r Replay) Sender(i int) func() (int, error) {
	return func() (int, error) {
		i++
		n := 0
		for _, err := range r.Journal.Store.ReplayEvents(context.Background(), r.Journal.ids[i%len(r.Journal.ids)], 1, math.MaxUint64) {
			if err != nil {
				return n, err
			}
			n++
		}
		if n != r.Journal.Length {
			return n, fmt.Errorf("replayed %d events of %d", n, r.Journal.Length)
		}
		return n, nil
	}
}

// Close implements [Side].
func (Replay) Close() error { return nil }

// Recovery recovers the first account of a journal in a new engine each time.
type Recovery struct {
	Journal   *Journal
	Snapshots bool // from the latest snapshot, instead of the whole journal
}

func (r *Recovery) engine() (*ego.Engine, error) {
	kind := ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })
	opts := []ego.Option{ego.WithKinds(kind)}
	if r.Snapshots {
		opts = append(opts, ego.WithSnapshotStore(r.Journal.Store), ego.WithSnapshotInterval(1000))
	}
	return start(r.Journal.Store, opts...)
}

// WriteSnapshot lets the account handle commands until a snapshot was due.
func (r *Recovery) WriteSnapshot() error {
	engine, err := r.engine()
	if err != nil {
		return err
	}
	for range 1000 {
		if _, _, err := engine.SendCommand(context.Background(), r.Journal.ids[0], &testpb.Deposit{Amount: 1}, time.Minute); err != nil {
			return errors.Join(err, engine.Stop(context.Background()))
		}
	}
	return engine.Stop(context.Background())
}

// Recover returns how long the first look at the account took.
func (r *Recovery) Recover() (time.Duration, error) {
	engine, err := r.engine()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	_, revision, err := engine.EntityState(context.Background(), r.Journal.ids[0], time.Minute)
	took := time.Since(begin)
	if err == nil && revision < uint64(max(r.Journal.Length, 0)) {
		err = fmt.Errorf("recovered up to revision %d of %d", revision, r.Journal.Length)
	}
	return took, errors.Join(err, engine.Stop(context.Background()))
}
