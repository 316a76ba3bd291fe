// Package publishing makes consumers of publishers: it hands opened events to them, bounds their calls, and finds out whose
// fault an error is. Package publisher says what is promised; this is how.
//
// The worker of a shard offers one event at a time and waits while it fails, so what lies behind it in the shard would wait
// as well. When nobody has said whose fault that is, the sink looks for proof that the broker works: an event that any shard
// of this process has published since the first failure, or else, tried now, the next event of another entity in the same
// shard. That event comes early and is published again in its turn; it is the first of its entity that is not published, so
// the order of its entity holds. With proof the event is to blame and the policy applies; without, the broker is.
package publishing
