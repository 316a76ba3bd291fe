// Package persistencetest holds stores to the contract of packages persistence and offsetstore, and lets tests break a
// store on purpose.
//
// # Conformance
//
// A store passes when this test passes:
//
//	func TestConformance(t *testing.T) {
//		persistencetest.Run(t, func(t testing.TB) persistencetest.Stores {
//			store := mystore.Open(t.TempDir())
//			require.NoError(t, store.Connect(t.Context()))
//			t.Cleanup(func() { store.Disconnect(context.Background()) })
//			return persistencetest.Stores{Events: store, Snapshots: store}
//		})
//	}
//
// Each case opens stores of its own on an empty data set; cases run in parallel. An interface that is nil and a hook that
// is nil leave out the cases that need them, so a store need not implement everything, but says by its hooks what it can
// be asked: give [Stores].Reopen and [Stores].OpenWithShards for every store whose data outlives the process. Run with
// the race detector: several cases find what they look for only with it.
//
// [Cases] returns the cases one by one, and [CheckRandom] compares a store with a model under random operations, for use
// in fuzz targets. [RunBenchmarks] measures a store.
//
// # Faults
//
// [Faults] wraps stores for tests of what is built on them: fail the third write, fail a write after it was committed,
// hold a write until the test lets it go. See its example.
package persistencetest
