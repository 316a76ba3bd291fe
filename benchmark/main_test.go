package benchmark

import (
	"os"
	"testing"

	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(mongotest.Main(pgtest.Main(m)).Run()) }
