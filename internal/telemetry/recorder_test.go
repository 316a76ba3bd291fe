package telemetry_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/actorkeep/ego/internal/telemetry"
)

func TestProvidersThatDoNothingAreNone(t *testing.T) {
	t.Parallel()
	nothing, err := telemetry.New(tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider())
	require.NoError(t, err)
	require.Nil(t, nothing)
	traces, err := telemetry.New(sdktrace.NewTracerProvider(), metricnoop.NewMeterProvider())
	require.NoError(t, err)
	require.NotNil(t, traces)
	metrics, err := telemetry.New(tracenoop.NewTracerProvider(), sdkmetric.NewMeterProvider())
	require.NoError(t, err)
	require.NotNil(t, metrics)
}
