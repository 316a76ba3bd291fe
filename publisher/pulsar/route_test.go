package pulsar

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPartitions pins Java's String.hashCode, whose values are from its documentation's formula and known from Java itself.
func TestPartitions(t *testing.T) {
	t.Parallel()
	const many = 1 << 31 // so that the partition is the hash without its sign
	for key, hash := range map[string]uint32{
		"": 0, "a": 97, "hello": 99162322, "polygenelubricants": 1 << 31,
	} {
		require.EqualValues(t, hash&(many-1), partitionOf(key, many), key)
	}
	require.Equal(t, 0, partitionOf("anything", 1))
	require.Equal(t, 99162322%7, partitionOf("hello", 7))
	require.Equal(t, 55357*31+56832, partitionOf("😀", many), "two units of UTF-16")
}
