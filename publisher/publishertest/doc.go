// Package publishertest checks that a publisher keeps the contract of package publisher, on the broker itself and behind an
// engine. The author of a publisher says how to make one, how to read what the broker has taken, and how to take the broker
// down, and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		publishertest.Run(t, func(t testing.TB) publishertest.Broker { … })
//	}
//
// What was received must be read by other means than the publisher's own: another connection, or better another client.
package publishertest
