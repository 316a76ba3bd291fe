package consumer_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
