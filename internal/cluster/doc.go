// Package cluster lets the nodes of an engine share its entities: who is there, which node owns which entity, and how a
// request reaches it. It knows neither GoAkt nor sockets; a [Runtime] gives it membership and transport.
//
// # Placement
//
// An entity belongs to the shard that the journal gives it, and a shard to the live member that wins its rendezvous (see
// [View]). Every node computes that by itself from the same list of members, so nothing has to be agreed upon, and a
// change of members moves only the shards of those who came or went. While members disagree two nodes may own one
// entity; the fence of the store makes that harmless.
//
// # The life of a node
//
//	joining ── quorum ──► serving ── no quorum for a while ──► fenced ── left and joined anew ──► joining
//
// A node that is not serving owns nothing and answers nothing. It leaves and joins again until it finds a quorum, since a
// membership that was cut in two never merges by itself. Nodes also greet each other with what they see; when two of
// them see different clusters, the one that sees less joins anew (see split).
//
// # Requests
//
// A [Node] has a link to every other. A link sends one batch of requests and replies at a time, while the next gathers.
// Batches are numbered, so one whose arrival is in doubt is sent again to the same run of the peer and handled once. When
// that run is gone, a request that cannot have arrived goes to the next owner; one that may have arrived goes there only
// if it may be repeated.
//
// # Locks
//
// The lock of a node guards its links and what it knows of its peers; the lock of a link guards its queues. Neither is
// held while the other is taken, nor while the runtime or the engine is called.
package cluster
