// Package egopb holds the records that ego stores and sends, as protobuf messages: events, snapshots, durable states, timers,
// dead letters and keys, the steps of sagas, what nodes of a cluster tell each other, and the frames of live feeds. Stores and
// publishers work with them; other users of ego rarely need to.
//
// The messages are generated from the files in protos. A field number is never used again and a field never changes its meaning,
// so records of every release can be read; Event.payload is a user's message, or its ciphertext when Event.key_id is set.
package egopb
