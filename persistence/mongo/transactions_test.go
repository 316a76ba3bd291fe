package mongo_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/internal/mongotest"
)

// transactions stand in for those of a replica set, which the server of the tests does not have: what is written in one is kept
// back until it is committed, and dropped when it is aborted. Reads see what is committed. So tests on it prove what the store
// and the driver ask of a server, in which order and what they make of its answers; they prove nothing of a server: not that its
// transactions are isolated, atomic or durable.
type transactions struct {
	recorder
	database *driver.Database // on the server itself

	mu       sync.Mutex
	kept     map[string][]mongotest.Command // by transaction; nil once it is over
	troubles map[string][]trap              // by what they await: the name of a command and its collection
}

// A trap is what becomes of one command.
type trap struct {
	before func() // happens first
	done   bool   // it is done, whatever is answered
	answer bson.D // nil: what is true
}

// transactional returns a store on a new database whose server has the transactions of the stand-in.
func transactional(t *testing.T) (*transactions, *client) {
	t.Helper()
	name := mongotest.Database(t)
	x := &transactions{kept: make(map[string][]mongotest.Command), troubles: make(map[string][]trap)}
	x.database = mongotest.Client(t).Database(name)
	store, behind, _ := replicated(t, name, "", x.judge)
	return x, &client{store, behind.Database(name).Collection("model")}
}

// await sets traps for commands of a name on a collection, one each.
func (x *transactions) await(command string, traps ...trap) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.troubles[command] = traps
}

func (x *transactions) next(c mongotest.Command) (next trap) {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := c.Name()
	if c.Collection() != "" {
		name += " " + c.Collection()
	}
	if traps := x.troubles[name]; len(traps) > 0 {
		next, x.troubles[name] = traps[0], traps[1:]
		return next
	}
	return trap{done: true}
}

// transactionOf names the transaction of a command; empty when it has none.
func transactionOf(c mongotest.Command) string {
	if c.Get("autocommit") != false {
		return ""
	}
	return fmt.Sprint(c.Get("lsid", "id"), c.Get("txnNumber"))
}

func (x *transactions) judge(c mongotest.Command) mongotest.Verdict {
	x.note(c)
	of := transactionOf(c)
	if of == "" || c.Name() == "find" {
		return mongotest.Verdict{}
	}
	what := x.next(c)
	if what.before != nil {
		what.before()
	}
	var answer bson.D
	if what.done {
		answer = x.do(of, c)
	}
	if what.answer != nil {
		answer = what.answer
	}
	return mongotest.Verdict{Answer: answer}
}

// do does a command of a transaction and returns the answer.
func (x *transactions) do(of string, c mongotest.Command) bson.D {
	x.mu.Lock()
	defer x.mu.Unlock()
	ok := bson.E{Key: "ok", Value: 1.0}
	switch c.Name() {
	case "commitTransaction":
		for _, write := range x.kept[of] {
			answer, err := x.run(write)
			if err != nil || answer.Lookup("writeErrors").Type != 0 {
				return mongotest.Failure(112, "WriteConflict", "TransientTransactionError")
			}
		}
		x.kept[of] = nil
		return bson.D{ok}
	case "abortTransaction":
		x.kept[of] = nil
		return bson.D{ok}
	}
	x.kept[of] = append(x.kept[of], c)
	if c.Name() == "insert" && x.count(c.Collection(), bson.D{{Key: "_id", Value: idOf(c)}}) > 0 {
		return bson.D{ok, {Key: "n", Value: int32(0)}, {Key: "writeErrors", Value: bson.A{bson.D{
			{Key: "index", Value: int32(0)}, {Key: "code", Value: int32(11000)}, {Key: "errmsg", Value: "taken"}}}}}
	}
	n := int32(1)
	if c.Name() == "delete" {
		n = x.count(c.Collection(), firstOf(c, "deletes").Lookup("q").Document())
	}
	return bson.D{ok, {Key: "n", Value: n}, {Key: "nModified", Value: n}}
}

// run has the server itself do what was kept back.
func (x *transactions) run(write mongotest.Command) (bson.Raw, error) {
	return x.database.RunCommand(context.Background(), bson.D(write.Plain().Without("$db", "$readPreference"))).Raw()
}

// count counts what is committed, and is -1 when that fails.
func (x *transactions) count(collection string, filter any) int32 {
	n, err := x.database.Collection(collection).CountDocuments(context.Background(), filter)
	if err != nil {
		return -1
	}
	return int32(n)
}

// idOf returns the _id of the document that a command inserts.
func idOf(c mongotest.Command) any {
	var id struct {
		ID any `bson:"_id"`
	}
	_ = bson.Unmarshal(firstOf(c, "documents"), &id) // without one there is none like it
	return id.ID
}

// firstOf returns the first of the documents that a command brings.
func firstOf(c mongotest.Command, field string) bson.Raw { return c.Get(field).(bson.A)[0].(bson.Raw) }

// attempts returns the commands of the transactions, each in order.
func (x *transactions) attempts() (attempts [][]mongotest.Command) {
	at := make(map[string]int)
	for _, c := range x.all() {
		of := transactionOf(c)
		if of == "" {
			continue
		}
		i, ok := at[of]
		if !ok {
			i = len(attempts)
			at[of] = i
			attempts = append(attempts, nil)
		}
		attempts[i] = append(attempts[i], c)
	}
	return attempts
}

// requireAttempt requires that a transaction was begun as it should be and consists of some commands.
func requireAttempt(t *testing.T, attempt []mongotest.Command, want ...string) {
	t.Helper()
	var names []string
	for i, c := range attempt {
		name := c.Name()
		if c.Collection() != "" {
			name += " " + c.Collection()
		}
		names = append(names, name)
		require.Equal(t, i == 0, c.Get("startTransaction") == true, "%v", c)
		require.Equal(t, i == 0, c.Get("readConcern", "level") == "snapshot", "%v", c)
		switch c.Name() {
		case "commitTransaction":
			require.Equal(t, "majority", c.Get("writeConcern", "w"), "%v", c)
			if attempt[i-1].Name() != "commitTransaction" { // one that is sent again has the majority of the driver's own making
				require.Equal(t, true, c.Get("writeConcern", "j"), "%v", c)
			}
		case "abortTransaction":
		default:
			require.Nil(t, c.Get("writeConcern"), "%v", c)
		}
	}
	require.Equal(t, want, names)
}
