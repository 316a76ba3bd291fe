package clustertest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/mongotest"
	"github.com/actorkeep/ego/internal/pgtest"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(nodeEnv); spec != "" {
		if err := runNode(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(mongotest.Main(pgtest.Main(m)))
}
