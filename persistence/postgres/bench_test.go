package postgres_test

import (
	"testing"

	"github.com/actorkeep/ego/persistence/persistencetest"
)

func BenchmarkStore(b *testing.B) { persistencetest.RunBenchmarks(b, emptyStores) }
