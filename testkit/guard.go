package testkit

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
)

// guard finds out who modifies a message that nobody may modify.
type guard struct {
	watched []watched
}

type watched struct {
	what            string
	message, before proto.Message
}

func (g *guard) watch(what string, message proto.Message) {
	g.watched = append(g.watched, watched{what: what, message: message, before: proto.Clone(message)})
}

// check returns an error when a watched message was modified by a handler, which may have failed too. The latest messages
// are looked at first: they are those that the handler was given, and others may share parts with them.
func (g *guard) check(handler, occasion string, failure error) error {
	for _, w := range slices.Backward(g.watched) {
		if proto.Equal(w.before, w.message) {
			continue
		}
		and := ""
		if failure != nil {
			and = " (and failed: " + failure.Error() + ")"
		}
		return fmt.Errorf("%s modified %s%s%s; a handler must not modify what it was given or has returned:%s",
			handler, w.what, occasion, and, diff(w.before, w.message, "was", "is now"))
	}
	return nil
}
