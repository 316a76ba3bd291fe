package ego_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongotest.Main(pgtest.Main(m))) }
