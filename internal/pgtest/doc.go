// Package pgtest gives tests a real PostgreSQL server.
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
//
//	func TestSomething(t *testing.T) {
//		store := postgres.NewStore(pgtest.Pool(t), postgres.WithSchema(pgtest.Schema(t)))
//		…
//	}
//
// The first use in a test binary starts a private server from the binaries on this machine, in a directory of its own and
// on a unix socket; it syncs as a server in production does. All tests of the binary share it, each with a schema of its
// own. Main stops it at the end; it also ends when the test process is killed. A test that stops, restarts or fills a
// server starts one for itself with [Start].
//
// EGO_TEST_POSTGRES_URL names a server to use instead of a private one; the user must be allowed to create schemas, and
// should be a superuser. Without that and without binaries a test fails when EGO_REQUIRE_SERVICES is 1. Otherwise
// it fails as well, as a test runs or fails, and says what to install.
package pgtest
