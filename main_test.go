package ego_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/pgtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(mongotest.Main(pgtest.Main(m)), // GoAkt leaves the subscription of a cluster that it has left
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*channel).initHealthCheck.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*channel).initMsgChan.func1"),
		goleak.IgnoreAnyFunction("github.com/tochemey/olric/internal/pubsub.(*pubSubConn).bgrunner"))
}
