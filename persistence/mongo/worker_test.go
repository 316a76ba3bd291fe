package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/mongo"
	"github.com/actorkeep/ego/projection"
)

// What the process that is killed is told.
const (
	workerURL      = "EGO_MONGO_WORKER_URL"
	workerDatabase = "EGO_MONGO_WORKER_DATABASE"
	workerName     = "EGO_MONGO_WORKER_NAME"
)

const (
	workerAccounts = 8
	workerCommands = 8 // of each account
	workerShards   = 4
	workerLease    = 15 * time.Second // renewed in time by a process that gets little of the machine
)

func accountID(n int) string { return fmt.Sprint("account-", n) }

// work is a process of its own: an engine with a projection that sends deposits and tells each that was acknowledged. When
// all are, it goes on with the projection until it is killed.
func work() error {
	ctx := context.Background()
	client, err := driver.Connect(options.Client().ApplyURI(os.Getenv(workerURL)))
	if err != nil {
		return err
	}
	database, name := os.Getenv(workerDatabase), os.Getenv(workerName)
	store := mongo.NewStore(client, database, mongo.WithShards(workerShards), mongo.WithPollInterval(20*time.Millisecond))
	engine := ego.NewEngine("worker", store,
		ego.WithKinds(ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })),
		ego.WithLeaseTime(workerLease),
		ego.WithProjection("model", &projection.Options{
			Handler: &modelHandler{client.Database(database)}, BatchSize: 4,
			Recovery: projection.NewRecovery(projection.WithRecoveryPolicy(projection.RetryAndFail), projection.WithRetries(10_000),
				projection.WithRetryDelay(20*time.Millisecond)), // a server that is busy refuses writes after some seconds
		}))
	if err := engine.Start(ctx); err != nil {
		return err
	}
	if err := engine.StartProjection(ctx, "model"); err != nil {
		return err
	}
	var group sync.WaitGroup
	failures := make(chan error, workerAccounts)
	for n := range workerAccounts {
		group.Go(func() { failures <- depositAll(ctx, engine, accountID(n), name) })
	}
	group.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	fmt.Println("done - 0")
	select {}
}

func depositAll(ctx context.Context, engine *ego.Engine, id, name string) error {
	if err := engine.Entity(ctx, testaccount.New(id), ego.WithDedupWindow(1000)); err != nil {
		return err
	}
	for n := range workerCommands {
		command := fmt.Sprintf("%s/%d", name, n)
		revision, err := depositOnce(ctx, engine, id, command)
		if err != nil {
			return fmt.Errorf("%s on %s: %w", command, id, err)
		}
		// One write for each line: what was written is in the pipe, whatever becomes of this process.
		_, _ = fmt.Printf("%s %s %d\n", id, command, revision)
	}
	return nil
}

// depositOnce sends a command until it is acknowledged, as a client does: under its id that is safe.
func depositOnce(ctx context.Context, engine *ego.Engine, id, command string) (uint64, error) {
	var failure error
	for range 200 {
		_, revision, err := engine.SendCommand(ego.WithCommandID(ctx, command), id, &testpb.Deposit{Amount: 1}, 20*time.Second)
		if err == nil {
			return revision, nil
		}
		failure = err
	}
	return 0, failure
}

// A modelHandler records each event under its place, after it has looked whether the one before it was recorded.
type modelHandler struct{ database *driver.Database }

func (h *modelHandler) Handle(ctx context.Context, event *projection.Event) error {
	if event.Position > 1 {
		err := h.database.Collection("model").FindOne(ctx, bson.D{{Key: "_id", Value: place(event.Shard, event.Position-1)}}).Err()
		if errors.Is(err, driver.ErrNoDocuments) {
			_, err = h.database.Collection("skipped").InsertOne(ctx, bson.D{{Key: "after", Value: place(event.Shard, event.Position-1)}})
		}
		if err != nil {
			return err
		}
	}
	_, err := h.database.Collection("model").InsertOne(ctx, bson.D{
		{Key: "_id", Value: place(event.Shard, event.Position)}, {Key: "entity", Value: event.PersistenceID},
		{Key: "number", Value: int64(event.SequenceNumber)}, {Key: "by", Value: os.Getenv(workerName)},
	})
	if driver.IsDuplicateKeyError(err) {
		return nil // at least once
	}
	return err
}

func place(shard uint32, position uint64) string { return fmt.Sprintf("%d/%d", shard, position) }
