package ego_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

// BenchmarkTelemetry sends commands to one entity on the memory store, one at a time: without telemetry, with providers that
// do nothing, with the SDK's metrics, and with its traces as well, of which none or all are sampled. The engines take turns, a
// thousand commands each.
func BenchmarkTelemetry(b *testing.B) {
	meters := func() *sdkmetric.MeterProvider {
		return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	}
	sides := []struct {
		name      string
		telemetry *ego.Telemetry
	}{
		{"off", nil},
		{"noop", &ego.Telemetry{TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider()}},
		{"metrics", &ego.Telemetry{MeterProvider: meters()}},
		{"unsampled", &ego.Telemetry{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())), MeterProvider: meters()}},
		{"sampled", &ego.Telemetry{TracerProvider: sdktrace.NewTracerProvider(), MeterProvider: meters()}},
	}
	engines, took := make([]*ego.Engine, len(sides)), make([]time.Duration, len(sides))
	for i, side := range sides {
		var opts []ego.Option
		if side.telemetry != nil {
			opts = append(opts, ego.WithTelemetry(side.telemetry))
		}
		engines[i] = startEngine(b, memory.NewStore(), opts...)
		open(b, engines[i], "a")
	}
	const turn = 1000
	send := func(engine *ego.Engine) time.Duration {
		begin := time.Now()
		for range turn {
			_, _, err := engine.SendCommand(b.Context(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
			require.NoError(b, err)
		}
		return time.Since(begin)
	}
	for _, engine := range engines { // warm
		send(engine)
	}
	rounds := 0
	for b.Loop() {
		rounds++
		for i, engine := range engines {
			took[i] += send(engine)
		}
	}
	for i, side := range sides {
		b.ReportMetric(float64(took[i].Nanoseconds())/float64(rounds*turn), side.name+"-ns/command")
	}
}
