package clustertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// violation returns what the acknowledged operations of an entity and its final state say against a single copy that handles
// one command at a time and loses nothing. A deposit leaves its note: the one at index i was left by revision i+1. Every
// deposit has a revision of its own, so the operations are in the only order that they can be in, and have to be in it in
// time as well: what began after another had ended has a higher revision, or no lower one if it only asked.
func violation(ops []*op, final *answer) error {
	if final.Error != "" {
		return errors.New(final.Error)
	}
	if uint64(len(final.Notes)) != final.Revision || int64(len(final.Notes)) != final.Balance {
		return fmt.Errorf("%d notes at revision %d with balance %d", len(final.Notes), final.Revision, final.Balance)
	}
	sorted := slices.Sorted(slices.Values(final.Notes))
	if len(slices.Compact(sorted)) != len(final.Notes) {
		return fmt.Errorf("a deposit took effect twice: %v", final.Notes)
	}
	for _, o := range ops {
		switch {
		case o.revision > final.Revision:
			return fmt.Errorf("revision %d was acknowledged and lost", o.revision)
		case o.note != "" && (o.revision == 0 || final.Notes[o.revision-1] != o.note):
			return fmt.Errorf("deposit %s was acknowledged as revision %d, which is another", o.note, o.revision)
		}
	}
	return disorder(ops)
}

// disorder returns an operation that knows less than one which had ended before it began.
func disorder(ops []*op) error {
	byEnd := slices.SortedFunc(slices.Values(ops), func(a, b *op) int { return a.ended.Compare(b.ended) })
	byBegin := slices.SortedFunc(slices.Values(ops), func(a, b *op) int { return a.begun.Compare(b.begun) })
	ended, newest := 0, uint64(0)
	for _, o := range byBegin {
		for ; ended < len(byEnd) && byEnd[ended].ended.Before(o.begun); ended++ {
			newest = max(newest, byEnd[ended].revision)
		}
		switch {
		case o.note == "" && o.revision < newest:
			return fmt.Errorf("a question was answered with revision %d after %d was known", o.revision, newest)
		case o.note != "" && o.revision <= newest:
			return fmt.Errorf("deposit %s got revision %d after %d was known", o.note, o.revision, newest)
		}
	}
	return nil
}

// The checker finds each sort of violation.
func TestViolation(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	deposit := func(note string, begun, ended int, revision uint64) *op {
		return &op{note: note, begun: at(begun), ended: at(ended), revision: revision}
	}
	final := func(notes ...string) *answer {
		return &answer{Notes: notes, Revision: uint64(len(notes)), Balance: int64(len(notes))}
	}
	good := []*op{deposit("a", 0, 4, 2), deposit("b", 1, 3, 1), deposit("", 2, 5, 1), deposit("c", 6, 7, 3), deposit("", 8, 9, 4)}
	require.NoError(t, violation(good, final("b", "a", "c", "never acknowledged")))
	for name, c := range map[string]struct {
		ops   []*op
		final *answer
		says  string
	}{
		"Lost":       {good, final("b", "a"), "acknowledged and lost"},
		"Doubled":    {good, final("b", "a", "c", "b"), "took effect twice"},
		"Forked":     {good, final("b", "c", "a", "d"), "which is another"},
		"Repeated":   {append(good, deposit("d", 10, 11, 0)), final("b", "a", "c", "d"), "which is another"},
		"OldAnswer":  {append(good, deposit("", 8, 9, 2)), final("b", "a", "c", "d"), "after 3 was known"},
		"TooLate":    {append(good, deposit("d", 10, 11, 4)), final("b", "a", "c", "d"), "after 4 was known"},
		"Gap":        {good, &answer{Error: "the events between were deleted"}, "events between were deleted"},
		"WrongMoney": {good, &answer{Notes: []string{"a"}, Revision: 1, Balance: 2}, "with balance 2"},
	} {
		require.ErrorContains(t, violation(c.ops, c.final), c.says, name)
	}
}
