package mongo_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/mongotest"
)

func TestMain(m *testing.M) {
	if os.Getenv(workerDatabase) != "" {
		if err := work(); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(mongotest.Main(m))
}
