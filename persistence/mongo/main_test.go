package mongo_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/mongotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongotest.Main(m)) }
