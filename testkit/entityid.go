package testkit

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/actorkeep/ego"
)

// maxIDLength is how many bytes an entity id may have.
const maxIDLength = 2048

// checkID returns an error for an id that the engine refuses.
func checkID(id string) error {
	switch {
	case id == "":
		return ego.ErrUndefinedEntityID
	case len(id) > maxIDLength:
		return fmt.Errorf("%w: it has %d bytes, more than %d", ego.ErrInvalidEntityID, len(id), maxIDLength)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: %q is not valid UTF-8", ego.ErrInvalidEntityID, id)
	case strings.IndexByte(id, 0) >= 0:
		return fmt.Errorf("%w: %q has a zero byte", ego.ErrInvalidEntityID, id)
	default:
		return nil
	}
}
