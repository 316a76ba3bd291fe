// Package chaos holds the test that treats projections as badly as it can: several processes share them on one store, are
// killed and stopped for longer than their leases, while handlers fail at random. On PostgreSQL they also lose connections, are
// cut off from the server with what they have sent arriving late, and have their clocks stepped by five minutes. A checker then
// compares the read models with the journal.
//
//	make chaos CHAOS=2m          # prints its seed
//	make chaos CHAOS=2m SEED=7   # the same random choices again
package chaos
