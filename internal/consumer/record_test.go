package consumer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOffsetsThatMayWait(t *testing.T) { // G6
	t.Parallel()
	const wait = 50 * time.Millisecond

	t.Run("AreRecordedTogether", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			spec := p.spec(sink)
			spec.RecordEvery = wait
			p.start(spec)
			pass(time.Second)
			before := p.faults.Calls("CommitOffset")
			for range 100 {
				r.append("e", 1, p)
				pass(time.Millisecond)
			}
			require.Len(t, sink.handled(), 100, "what is handled waits for nothing")
			require.Less(t, p.faults.Calls("CommitOffset")-before, 5)
			pass(wait)
			require.EqualValues(t, 100, r.offset(0))
		})
	})
	t.Run("AreRecordedAtTheEnd", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			spec := p.spec(sink)
			spec.RecordEvery = time.Hour
			p.start(spec)
			r.append("e", 3)
			pass(time.Minute)
			require.Len(t, sink.handled(), 3)
			require.Zero(t, r.offset(0))
			require.NoError(t, p.group.Stop(t.Context()))
			require.EqualValues(t, 3, r.offset(0))
		})
	})
	t.Run("DoNotHoldUpTheNextPage", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			r := newRig(t, 1)
			p, sink := r.process("a"), &log{}
			spec := p.spec(sink)
			spec.RecordEvery, spec.BatchSize = time.Hour, 10
			r.append("e", 95)
			p.start(spec)
			pass(time.Minute)
			require.Len(t, sink.handled(), 95)
			require.EqualValues(t, 90, r.offset(0), "each full page is recorded")
		})
	})
}
