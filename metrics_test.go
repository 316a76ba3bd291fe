package ego_test

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/projection"
)

// An instrument is what docs/metrics.md says of it, or what is exported.
type instrument struct {
	sort, unit string
	attributes []string
}

// documented reads the table of docs/metrics.md.
func documented(t *testing.T) map[string]instrument {
	t.Helper()
	file, err := os.Open("docs/metrics.md")
	require.NoError(t, err)
	defer file.Close()
	row := regexp.MustCompile("^\\| `(ego\\.[a-z.]+)` \\| (\\w+), (\\S+) \\|([^|]*)\\|")
	name := regexp.MustCompile("`([a-z.]+)`")
	table := make(map[string]instrument)
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		cells := row.FindStringSubmatch(scanner.Text())
		if cells == nil {
			continue
		}
		i := instrument{sort: cells[2], unit: cells[3], attributes: []string{}}
		for _, attribute := range name.FindAllStringSubmatch(cells[4], -1) {
			i.attributes = append(i.attributes, attribute[1])
		}
		slices.Sort(i.attributes)
		require.NotContains(t, table, cells[1])
		table[cells[1]] = i
	}
	return table
}

// made collects the instruments that are made, whether they have data or not.
type made struct {
	mu    sync.Mutex
	units map[string]string
}

func (m *made) view(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units[i.Name] = i.Unit
	return sdkmetric.Stream{}, false
}

// exported returns the instruments that have data. Of a histogram or counter, the attributes are those of all its points.
func exported(t *testing.T, reader *sdkmetric.ManualReader) map[string]instrument {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	found := make(map[string]instrument)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			i := instrument{unit: m.Unit}
			var sets []attribute.Set
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				i.sort, sets = "histogram", setsOf(data.DataPoints, func(p metricdata.HistogramDataPoint[float64]) attribute.Set { return p.Attributes })
			case metricdata.Histogram[int64]:
				i.sort, sets = "histogram", setsOf(data.DataPoints, func(p metricdata.HistogramDataPoint[int64]) attribute.Set { return p.Attributes })
			case metricdata.Sum[int64]:
				require.True(t, data.IsMonotonic, "%s goes down", m.Name)
				i.sort, sets = "counter", setsOf(data.DataPoints, func(p metricdata.DataPoint[int64]) attribute.Set { return p.Attributes })
			case metricdata.Gauge[int64]:
				i.sort, sets = "gauge", setsOf(data.DataPoints, func(p metricdata.DataPoint[int64]) attribute.Set { return p.Attributes })
			case metricdata.Gauge[float64]:
				i.sort, sets = "gauge", setsOf(data.DataPoints, func(p metricdata.DataPoint[float64]) attribute.Set { return p.Attributes })
			}
			i.attributes = keysOf(t, m.Name, sets)
			found[m.Name] = i
		}
	}
	return found
}

func setsOf[P any](points []P, of func(P) attribute.Set) []attribute.Set {
	sets := make([]attribute.Set, len(points))
	for i := range points {
		sets[i] = of(points[i])
	}
	return sets
}

// keysOf returns the keys of attributes, none of which may name an entity.
func keysOf(t *testing.T, name string, sets []attribute.Set) []string {
	t.Helper()
	keys := []string{}
	for _, set := range sets {
		for _, kv := range set.ToSlice() {
			require.False(t, strings.HasPrefix(kv.Value.String(), entityPrefix), "%s has an entity in %s", name, kv.Key)
			keys = append(keys, string(kv.Key))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// entityPrefix begins the ids of all entities of the test.
const entityPrefix = "entity-"

func TestMetricsAreThoseDocumented(t *testing.T) { // G12
	t.Parallel()
	reader, instruments := sdkmetric.NewManualReader(), &made{units: make(map[string]string)}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(instruments.view))
	store := newStore(t)
	fails := new(seen)
	fails.failWith(func(*projection.Event) error { return errDown })
	engine := startEngine(t, store, ego.WithTelemetry(&ego.Telemetry{MeterProvider: provider}),
		ego.WithSnapshotInterval(2), ego.WithPassivateAfter(20*time.Millisecond), ego.WithKinds(transferKind(new(calls))),
		ego.WithProjection("works", &projection.Options{Handler: new(seen)}),
		ego.WithProjection("fails", &projection.Options{Handler: fails}))
	from, to := entityPrefix+"a", entityPrefix+"b"
	require.NoError(t, engine.Entity(t.Context(), testaccount.New(from),
		ego.WithRetentionPolicy(ego.RetentionPolicy{DeleteEventsOnSnapshot: true})))
	open(t, engine, to)
	deposit(t, engine, from, 100)
	deposit(t, engine, from, 100)
	saga := newTransfer(entityPrefix + "s")
	saga.from, saga.to = from, to
	require.NoError(t, engine.Saga(t.Context(), saga, time.Minute))
	settled(t, engine, saga.id, ego.SagaCompleted)
	_, err := engine.ScheduleCommand(t.Context(), from, &testpb.Deposit{Amount: 1}, time.Now())
	require.NoError(t, err)
	startProjection(t, engine, "works")
	startProjection(t, engine, "fails")
	// What takes a cluster.
	recorder, err := telemetry.New(nil, provider)
	require.NoError(t, err)
	recorder.RoutedAgain("moved")
	stop, err := recorder.Observe(telemetry.Gauges{Cluster: func() telemetry.Cluster { return telemetry.Cluster{State: "serving"} }})
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()

	want := documented(t)
	require.NotEmpty(t, want)
	units := make(map[string]string, len(want))
	for name, i := range want {
		units[name] = i.unit
	}
	require.Equal(t, units, instruments.units, "docs/metrics.md and the instruments of an engine")
	var have map[string]instrument
	require.Eventually(t, func() bool {
		have = exported(t, reader)
		return len(have) == len(want)
	}, patience, 10*time.Millisecond, "every instrument has data")
	require.Equal(t, want, have)
}
