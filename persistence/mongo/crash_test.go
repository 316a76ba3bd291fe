package mongo_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence"
	"github.com/actorkeep/ego/persistence/mongo"
)

// An ack is a command that a process told to be acknowledged.
type ack struct {
	entity, command string
	number          uint64
}

// acks are what all processes told.
type acks struct {
	mu   sync.Mutex
	list []ack
}

func (a *acks) add(one ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, one)
}

// A process runs the worker.
type process struct {
	cmd  *exec.Cmd
	told chan struct{} // one for each acknowledged command
	done chan struct{} // closed when all commands are acknowledged
	end  chan struct{} // closed when the process has ended
}

func startProcess(t *testing.T, database, name string, all *acks) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &process{
		cmd:  exec.CommandContext(context.Background(), self),
		told: make(chan struct{}, workerAccounts*workerCommands), done: make(chan struct{}), end: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), workerURL+"="+mongotest.URL(t), workerDatabase+"="+database, workerName+"="+name)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.end)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var one ack
			switch _, err := fmt.Sscanf(lines.Text(), "%s %s %d", &one.entity, &one.command, &one.number); {
			case err != nil: // the last line may have been cut
			case one.entity == "done":
				close(p.done)
			default:
				all.add(one)
				p.told <- struct{}{}
			}
		}
		_ = p.cmd.Wait() // it was killed
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.end
}

// await waits until n more commands are acknowledged.
func (p *process) await(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-p.told:
		case <-p.end:
			require.Fail(t, "the process has ended by itself")
		}
	}
}

func (p *process) awaitDone(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-p.end:
		require.Fail(t, "the process has ended by itself")
	}
}

// TestKilledProcesses has processes that run the same accounts and share a projection, and kills them one after another in
// the midst of it. The log is then read by the driver alone.
func TestKilledProcesses(t *testing.T) { // G1, G2, G3, G4, G5, G8
	t.Parallel()
	name, all := mongotest.Database(t), new(acks)
	store, _ := connect(t, name, mongo.WithShards(workerShards)) // migrates
	db := mongotest.Client(t).Database(name)
	one := startProcess(t, name, "one", all)
	two := startProcess(t, name, "two", all)
	one.await(t, 12)
	two.await(t, 12)
	one.kill()
	again := startProcess(t, name, "one", all) // sends the same commands again
	again.await(t, 20)
	two.kill()
	last := startProcess(t, name, "two", all)
	again.awaitDone(t)
	last.awaitDone(t)
	const told = 2 * workerAccounts * workerCommands
	extra := 0
	for extra == 0 || !handledBy(t, db, "one") || !handledBy(t, db, "two") { // each gets its share of the shards some time
		writeToEachShard(t, store, &extra)
		awaitModel(t, db, told+extra)
	}
	again.kill() // what it owned of the projection is left to the other
	writeToEachShard(t, store, &extra)

	journal := readLog(t, db)
	require.Len(t, journal.commands, told, "each command has one event")
	require.Len(t, journal.places, len(journal.commands)+extra)
	for _, ack := range all.list {
		require.Equal(t, ack.number, journal.commands[ack.entity+" "+ack.command], "%s on %s was acknowledged", ack.command, ack.entity)
	}
	awaitModel(t, db, len(journal.places))
	last.kill()
	requireModel(t, db, journal)
}

// writeToEachShard writes an event to each shard, of entities that nothing else writes to.
func writeToEachShard(t *testing.T, store *mongo.Store, written *int) {
	t.Helper()
	payload, err := anypb.New(wrapperspb.Int64(1)) // a type that the projection knows
	require.NoError(t, err)
	for missing := uint32(1<<workerShards - 1); missing != 0; {
		*written++
		id := fmt.Sprint("extra-", *written)
		event := &egopb.Event{PersistenceId: id, SequenceNumber: 1, Kind: "account", Payload: payload}
		for err := errors.New("not yet"); err != nil && !errors.Is(err, persistence.ErrConflict); { // a conflict with itself
			err = store.WriteEvents(t.Context(), []*egopb.Event{event})
		}
		missing &^= 1 << persistence.ShardOf(id, workerShards)
	}
}

func count(t *testing.T, database *driver.Database, collection string, filter bson.D) int {
	t.Helper()
	n, err := database.Collection(collection).CountDocuments(t.Context(), filter)
	require.NoError(t, err)
	return int(n)
}

// awaitModel waits until the projection has handled so many events, or has skipped one.
func awaitModel(t *testing.T, database *driver.Database, events int) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.After(4 * time.Minute); count(t, database, "model", bson.D{}) < events && count(t, database, "skipped", bson.D{}) == 0; {
		select {
		case <-ticker.C:
		case <-limit:
			require.Fail(t, "the projection does not come to the end", "%d of %d events", count(t, database, "model", bson.D{}), events)
		}
	}
}

// handledBy reports whether a process has handled an event.
func handledBy(t *testing.T, database *driver.Database, name string) bool {
	t.Helper()
	return count(t, database, "model", bson.D{{Key: "by", Value: name}}) > 0
}

// A log is what the documents of the log add up to.
type log struct {
	commands map[string]uint64 // "entity command" → number
	places   map[string]string // place → "entity number"
}

// readLog reads the log with the driver and protobuf alone. Numbers of batches, entities and positions have no gap, and no
// command took effect twice.
func readLog(t *testing.T, database *driver.Database) *log {
	t.Helper()
	cursor, err := database.Collection("ego_log").Find(t.Context(), bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	require.NoError(t, err)
	var documents []struct {
		ID     string                   `bson:"_id"`
		Events map[string][]bson.Binary `bson:"e"`
	}
	require.NoError(t, cursor.All(t.Context(), &documents))
	l := &log{commands: map[string]uint64{}, places: map[string]string{}}
	heads, last := map[string]uint64{}, map[string]uint64{}
	for i, document := range documents {
		require.Equal(t, fmt.Sprintf("%016x", i+1), document.ID)
		for shard, records := range document.Events {
			index, err := strconv.ParseUint(shard, 10, 32)
			require.NoError(t, err)
			for _, record := range records {
				event := new(egopb.Event)
				require.NoError(t, proto.Unmarshal(record.Data, event))
				id := event.GetPersistenceId()
				heads[shard]++
				last[id]++
				require.Equal(t, last[id], event.GetSequenceNumber(), "numbers of %s", id)
				if command := id + " " + event.GetCommandId(); event.GetCommandId() != "" {
					require.NotContains(t, l.commands, command, "it took effect twice")
					l.commands[command] = event.GetSequenceNumber()
				}
				l.places[place(uint32(index), heads[shard])] = fmt.Sprint(id, " ", event.GetSequenceNumber())
			}
		}
	}
	return l
}

// requireModel checks that the projection has seen every event of the log, in order, by more than one process.
func requireModel(t *testing.T, database *driver.Database, journal *log) {
	t.Helper()
	require.Zero(t, count(t, database, "skipped", bson.D{}), "events that were handled before the one at the position below")
	cursor, err := database.Collection("model").Find(t.Context(), bson.D{})
	require.NoError(t, err)
	var rows []struct {
		Place  string `bson:"_id"`
		Entity string `bson:"entity"`
		Number int64  `bson:"number"`
		By     string `bson:"by"`
	}
	require.NoError(t, cursor.All(t.Context(), &rows))
	by := map[string]int{}
	for _, row := range rows {
		require.Equal(t, journal.places[row.Place], fmt.Sprint(row.Entity, " ", row.Number), "at %s", row.Place)
		by[row.By]++
	}
	require.Len(t, rows, len(journal.places))
	require.Len(t, by, 2, "both have shared the projection: %v", by)
}
