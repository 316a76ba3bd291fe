package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/pgtest"
)

// programEnv makes the test binary the program.
const programEnv = "EGO_EXAMPLE_CLUSTER"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(pgtest.Main(m))
}
