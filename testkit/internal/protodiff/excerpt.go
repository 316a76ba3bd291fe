package protodiff

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much of a long text is shown.
const (
	excerptLength = 80
	excerptBefore = 20 // shown of what both have in common
	ellipsis      = "…"
)

// excerpts quotes two different texts, long ones around the first place in which they differ.
func excerpts(want, got string) (string, string) {
	start := cut([]byte(want), []byte(got))
	quote := strconv.Quote
	if hasMarks(want) || hasMarks(got) { // accents that are characters of their own look like those that are not
		quote = strconv.QuoteToASCII
	}
	return excerpt(want, start, quote), excerpt(got, start, quote)
}

func excerpt(text string, start int, quote func(string) string) string {
	before, part, after := window([]byte(text), start)
	return before + quote(string(part)) + after
}

// cut returns where the excerpts of two different texts begin: at the start of a character, shortly before the place in
// which the texts differ, or at zero when they are short.
func cut(want, got []byte) int {
	if max(len(want), len(got)) <= excerptLength {
		return 0
	}
	same := 0
	for same < len(want) && same < len(got) && want[same] == got[same] {
		same++
	}
	start := max(0, same-excerptBefore)
	for start > 0 && same-start < excerptBefore+utf8.UTFMax && !utf8.RuneStart(want[start]) {
		start--
	}
	return start
}

// window returns a part of a text that is not too long and ends with a whole character, and what marks that it was cut.
func window(text []byte, start int) (before string, part []byte, after string) {
	if start > 0 {
		before = ellipsis
	}
	end := min(len(text), start+excerptLength)
	for end < len(text) && end > start+excerptLength-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	if end < len(text) {
		after = ellipsis
	}
	return before, text[start:end], after
}

// hasMarks reports whether a text has characters that combine with the one before them.
func hasMarks(text string) bool {
	return strings.ContainsFunc(text, unicode.IsMark)
}
