package websocket

import "github.com/actorkeep/ego/publisher"

var (
	_ publisher.SystemNamer = (*EventPublisher)(nil)
	_ publisher.SystemNamer = (*StatePublisher)(nil)
)

// MessagingSystem implements [publisher.SystemNamer].
func (*EventPublisher) MessagingSystem() string { return "websocket" }

// MessagingSystem implements [publisher.SystemNamer].
func (*StatePublisher) MessagingSystem() string { return "websocket" }
