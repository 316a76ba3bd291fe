package workload

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	_ "modernc.org/sqlite" // the driver

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// OpenSQLite opens a store in a directory.
func OpenSQLite(dir string) (*sqlite.Store, error) {
	store, err := sqlite.Open(filepath.Join(dir, "ego.db"))
	if err != nil {
		return nil, err
	}
	return store, store.Connect(context.Background())
}

// A Recorder is a store that remembers the sizes of the batches written to it.
type Recorder struct {
	persistence.EventsStore

	mu    sync.Mutex
	sizes []int
}

// WriteEvents implements [persistence.EventsStore].
func (r *Recorder) WriteEvents(ctx context.Context, events []*egopb.Event) error {
	r.mu.Lock()
	r.sizes = append(r.sizes, len(events))
	r.mu.Unlock()
	return r.EventsStore.WriteEvents(ctx, events)
}

// Take returns the sizes since the last call.
func (r *Recorder) Take() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.sizes
	r.sizes = nil
	return taken
}

// Batches writes batches of events with the driver alone: the tables, pragmas and records of the store, one transaction
// and one prepared insert, no fence, no look-up of positions, no contexts.
type Batches struct {
	db      *sql.DB
	insert  *sql.Stmt
	ids     []string
	n       int
	payload *anypb.Any

	// Sizes are those of the batches, over and over.
	Sizes []int
	batch int
}

// OpenBatches makes a file in a directory for batches over n accounts.
func OpenBatches(dir string, n int, sizes ...int) (*Batches, error) {
	dsn := url.URL{Scheme: "file", Path: filepath.Join(dir, "bare.db"), RawQuery: url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(10000)", "temp_store(MEMORY)", "cache_size(-16000)"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	payload, err := anypb.New(&testpb.Deposited{Amount: 1})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	b := &Batches{db: db, ids: IDs(n), payload: payload, Sizes: sizes}
	_, err = db.ExecContext(context.Background(), `CREATE TABLE events (place INTEGER PRIMARY KEY, persistence_id TEXT NOT NULL,
		sequence_number INTEGER NOT NULL, kind TEXT NOT NULL, record BLOB) STRICT;
		CREATE UNIQUE INDEX events_by_entity ON events (persistence_id, sequence_number)`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	b.insert, err = db.PrepareContext(context.Background(), "INSERT OR FAIL INTO events VALUES (?, ?, ?, ?, ?)")
	return b, err
}

// Sender implements [Side]; there can be one. A unit is an event.
func (b *Batches) Sender(int) func() (int, error) {
	return func() (int, error) {
		size := b.Sizes[b.batch%len(b.Sizes)]
		b.batch++
		return size, b.write(context.Background(), size)
	}
}

func (b *Batches) write(ctx context.Context, size int) (err error) {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	stmt := tx.StmtContext(ctx, b.insert) //nolint:sqlclosecheck // closed with the transaction
	for range size {
		id, number := b.ids[b.n*apart%len(b.ids)], b.n/len(b.ids)+1
		record, err := proto.Marshal(&egopb.Event{
			PersistenceId: id, SequenceNumber: uint64(max(number, 1)), Kind: "account", Payload: b.payload,
			TimeUnixNano: time.Now().UnixNano(), WriterId: "01234567890123456789",
		})
		if err != nil {
			return err
		}
		// As in the store, a place is made of one of 16 shards and a position.
		place := int64(b.n*apart%len(b.ids)%16)<<51 + int64(b.n)
		if _, err := stmt.ExecContext(ctx, place, id, number, "account", record); err != nil {
			return err
		}
		b.n++
	}
	return tx.Commit()
}

// Close implements [Side].
func (b *Batches) Close() error { return closeAll(b.insert.Close, b.db.Close) }
