// Package websocket streams events and durable states to browsers and services, and publishes them to a server.
//
//	feed, err := websocket.NewHandler(websocket.HandlerConfig{
//		Events:    engine.EventStream(),
//		Authorize: func(r *http.Request, request *websocket.Request) error { … },
//	})
//	http.Handle("/events", feed)
//
// # The feed
//
// A [Handler] serves a WebSocket to those who ask for an upgrade, and server-sent events to all others: what a browser's
// EventSource wants, which connects again by itself and says in Last-Event-ID where it was. The query selects:
//
//	stream    events (default) or states
//	from      start, now (default), or the cursor of a frame
//	kind, entity, type, tag    what is wanted; each may be repeated
//	format    json (default) or protobuf; server-sent events are always json
//
// Every message is an ego.v1.Frame, in protobuf's JSON or binary form, with the cursor to resume from. Frames without content
// tell how far the stream has come when nothing of it was selected.
//
// Each client reads the journal at its own pace, so a slow one holds nobody up and takes no memory. One that takes longer
// than [HandlerConfig.SlowAfter] for a frame is closed with [StatusSlow], and one that takes nothing at all is cut off.
// Both resume by their cursor.
//
// # The publisher
//
// An [EventPublisher] dials a server and sends it frames, which a [Receiver] takes. With acknowledgements, the default, an
// event counts as published once the server has said that it took it; without, once it was handed to the connection, and
// then an event can be lost.
package websocket
