// Package mongotest gives tests a real server that speaks the protocol of MongoDB.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(mongotest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		store := mongo.NewStore(mongotest.Client(t), mongotest.Database(t))
//		…
//	}
//
// The first use in a test binary starts a FerretDB, which make ferretdb builds, on a port of the loopback interface with its
// SQLite backend in a directory of its own. All tests of the binary share it, each with a database of its own. Main stops it
// at the end; it also ends when the test process is killed. A test that kills a server starts one for itself with [Start].
//
// EGO_TEST_MONGO_URL names a server to use instead, such as a replica set of MongoDB. Without that and without a FerretDB a
// test fails, and says what to run.
package mongotest
