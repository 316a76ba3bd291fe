package mongo_test

import (
	"context"
	"fmt"
	"os"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/persistence/mongo"
)

// serverURL is the connection string of a server, "mongodb://localhost:27017" for example.
func serverURL() string {
	url, err := mongotest.SharedURL()
	if err != nil {
		panic(err)
	}
	return url
}

func Example() {
	ctx := context.Background()
	client, err := driver.Connect(options.Client().ApplyURI(serverURL()))
	if err != nil {
		panic(err)
	}

	database := fmt.Sprint("journal_", os.Getpid()) // "bank", for example
	store := mongo.NewStore(client, database)
	if err := store.Migrate(ctx); err != nil { // at deployment, or at every start
		panic(err)
	}
	if err := store.Connect(ctx); err != nil {
		panic(err)
	}

	// The engine does this for you: ego.NewEngine("bank", store, …).
	payload, err := anypb.New(wrapperspb.Int64(100))
	if err != nil {
		panic(err)
	}
	deposited := &egopb.Event{PersistenceId: "account-1", SequenceNumber: 1, Kind: "account", Payload: payload}
	if err := store.WriteEvents(ctx, []*egopb.Event{deposited}); err != nil {
		panic(err)
	}
	fmt.Println(store.WriteEvents(ctx, []*egopb.Event{deposited})) // a second writer of the same number

	if err := store.Disconnect(ctx); err != nil {
		panic(err)
	}
	if err := client.Database(database).Drop(ctx); err != nil {
		panic(err)
	}
	if err := client.Disconnect(ctx); err != nil {
		panic(err)
	}
	// Output: persistence: conflict on entity "account-1": writer tried number 1, highest stored is 1
}
