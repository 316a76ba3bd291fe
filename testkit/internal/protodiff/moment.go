package protodiff

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The fields of google.protobuf.Timestamp and google.protobuf.Duration.
const (
	secondsNumber = 1
	nanosNumber   = 2
)

// What the two types can hold.
const (
	firstSecond   = -62_135_596_800 // of the year 1
	lastSecond    = 253_402_300_799 // of the year 9999
	secondsOfSpan = 315_576_000_000 // 10,000 years
	nanosOfSecond = int64(time.Second)
)

// isMoment reports whether all of some messages are valid times or durations, which are read better than their fields.
func isMoment(messages ...protoreflect.Message) bool {
	for _, m := range messages {
		switch name := m.Descriptor().FullName(); {
		case len(m.GetUnknown()) > 0:
			return false
		case name == "google.protobuf.Timestamp" && validTime(momentFields(m)):
		case name == "google.protobuf.Duration" && validDuration(momentFields(m)):
		default:
			return false
		}
	}
	return true
}

func validTime(seconds, nanos int64) bool {
	return seconds >= firstSecond && seconds <= lastSecond && nanos >= 0 && nanos < nanosOfSecond
}

func validDuration(seconds, nanos int64) bool {
	if seconds < 0 && nanos > 0 || seconds > 0 && nanos < 0 {
		return false
	}
	return seconds >= -secondsOfSpan && seconds <= secondsOfSpan && nanos > -nanosOfSecond && nanos < nanosOfSecond
}

// moment formats a valid time as RFC 3339 and a valid duration as seconds. Different values have different texts.
func moment(m protoreflect.Message) string {
	seconds, nanos := momentFields(m)
	if m.Descriptor().FullName() == "google.protobuf.Timestamp" {
		return time.Unix(seconds, nanos).UTC().Format(time.RFC3339Nano)
	}
	sign := ""
	if seconds < 0 || nanos < 0 {
		sign, seconds, nanos = "-", -seconds, -nanos
	}
	digits := fmt.Sprintf("%d.%09d", seconds, nanos)
	return sign + strings.TrimSuffix(strings.TrimRight(digits, "0"), ".") + "s"
}

func momentFields(m protoreflect.Message) (seconds, nanos int64) {
	fields := m.Descriptor().Fields()
	return m.Get(fields.ByNumber(secondsNumber)).Int(), m.Get(fields.ByNumber(nanosNumber)).Int()
}
