package telemetry_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSpanContext(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" // the example of the specification
	origin := telemetry.SpanContext(parent, "vendor=1")
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", origin.TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", origin.SpanID().String())
	require.True(t, origin.IsSampled())
	require.True(t, origin.IsRemote())
	require.Equal(t, "1", origin.TraceState().Get("vendor"))
	require.False(t, telemetry.SpanContext(parent[:len(parent)-1]+"0", "").IsSampled())
	for _, wrong := range []string{"", "00", "ff" + parent[2:], parent[:30], "00-" + "x" + parent[4:], parent[:len(parent)-1]} {
		require.False(t, telemetry.SpanContext(wrong, "").IsValid(), wrong)
	}
}

func FuzzSpanContext(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, parent, state string) {
		if origin := telemetry.SpanContext(parent, state); origin.IsValid() {
			require.NotEqual(t, trace.TraceID{}, origin.TraceID())
		}
	})
}

func TestNothingIsRecordedWithoutProviders(t *testing.T) {
	t.Parallel()
	recorder, err := telemetry.New(nil, nil)
	require.NoError(t, err)
	require.Nil(t, recorder)
	recorder.Passivated()
	recorder.Wrote("ok", 1, 1, 1)
	recorder.Recovered("k", 1, 1, nil)
	recorder.SnapshotIgnored("k")
	recorder.SnapshotWritten("k", nil)
	recorder.Retained("k", nil)
	stop, err := recorder.Observe(telemetry.Gauges{})
	require.NoError(t, err)
	require.NoError(t, stop())
}
