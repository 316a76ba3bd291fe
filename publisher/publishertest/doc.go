// Package publishertest checks that a publisher keeps the contract of package publisher, on the broker itself and behind an
// engine. The author of a publisher says how to make one, how to read what the broker has taken, and how to take the broker
// down, and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		publishertest.Run(t, func(t testing.TB) publishertest.Broker { … })
//	}
//
// What was received must be read by other means than the publisher's own: another connection, or better another client.
//
// # What is checked
//
// Events arrive whole, in order per entity and under the same id when they are repeated, one by one, in batches and from many
// goroutines; what is too large is rejected and overtaken by nothing of its entity; an outage is nobody's fault; contexts are
// obeyed; Close may be repeated and ends publishing. Behind an engine, nothing is lost over outages and restarts. A case for
// which a [Broker] lacks something is left out, see [Case.Applies], so give all that you can. The tests of this package try most
// of them on publishers that are broken on purpose.
package publishertest
