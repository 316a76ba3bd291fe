package benchmark

import (
	"os"
	"testing"

	"github.com/actorkeep/ego/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m).Run()) }
