package egoactor

import (
	"strconv"
	"strings"
)

// maxNamedID is how much of an entity's id its actor's name shows. GoAkt takes 255 characters in all.
const maxNamedID = 96

// actorName returns a name that no other actor of any node ever has: names are for people, nothing looks them up. What
// GoAkt does not take in a name is shown as an underscore.
func actorName(id, epoch string, n uint64) string {
	var b strings.Builder
	b.WriteString("entity-")
	b.WriteString(epoch)
	b.WriteByte('-')
	b.WriteString(strconv.FormatUint(n, 36))
	b.WriteByte('-')
	for i := 0; i < len(id) && i < maxNamedID; i++ {
		if c := id[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}
