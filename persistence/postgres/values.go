package postgres

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/actorkeep/ego/persistence"
)

// number makes an argument of a sequence number, position or limit that may be anything: PostgreSQL holds no integer above
// [math.MaxInt64], and nothing stored is above it either.
func number[N uint64 | int](n N) int64 {
	return int64(min(uint64(n), math.MaxInt64))
}

// maxRecord bounds what is sent at once. PostgreSQL closes the connection at a message of a gigabyte.
const maxRecord = 900 << 20

func tooLarge(id string, size int) error {
	return &persistence.InvalidRecordError{PersistenceID: id,
		Reason: fmt.Sprintf("%d bytes at once are more than PostgreSQL takes", size)}
}

// isText reports whether a string can be compared with a text column. What cannot is nowhere stored.
func isText(value string) bool { return utf8.ValidString(value) && strings.IndexByte(value, 0) < 0 }

func checkNumbered(id, what string, number uint64) error {
	if err := persistence.CheckID(id); err != nil {
		return err
	}
	if number == 0 || number > math.MaxInt64 {
		return &persistence.InvalidRecordError{PersistenceID: id, Reason: fmt.Sprintf("%s %d is out of range", what, number)}
	}
	return nil
}
