// Package chaos holds the test that treats projections as badly as it can: several processes share them on one store, are
// killed, stopped for longer than their leases and cut off from the store, while handlers fail at random. A checker then
// compares the read models with the journal.
//
//	make chaos CHAOS=2m          # prints its seed
//	make chaos CHAOS=2m SEED=7   # the same random choices again
package chaos
