package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Scope is the name of the instrumentation.
const Scope = "github.com/actorkeep/ego"

// The attributes of instruments and spans.
const (
	keyKind    = attribute.Key("ego.kind")
	keyCommand = attribute.Key("ego.command")
	keyOutcome = attribute.Key("ego.outcome")
	keyEntity  = attribute.Key("ego.entity") // of spans only
)

// A Recorder records what happens. All methods may be called by any goroutine, and on nil.
type Recorder struct {
	tracer      trace.Tracer // nil: no traces
	instruments *instruments // nil: no metrics

	options sync.Map // attributes → metric.MeasurementOption
}

// New returns a recorder on the providers given, nil without any. OpenTelemetry's providers that do nothing are none: what
// would be prepared for them, for each command, costs more than the command on a store in memory.
func New(traces trace.TracerProvider, metrics metric.MeterProvider) (*Recorder, error) {
	if _, nothing := traces.(tracenoop.TracerProvider); nothing {
		traces = nil
	}
	if _, nothing := metrics.(metricnoop.MeterProvider); nothing {
		metrics = nil
	}
	if traces == nil && metrics == nil {
		return nil, nil
	}
	r := new(Recorder)
	if traces != nil {
		r.tracer = traces.Tracer(Scope)
	}
	if metrics != nil {
		var err error
		if r.instruments, err = newInstruments(metrics.Meter(Scope)); err != nil {
			return nil, fmt.Errorf("ego: the instruments cannot be made: %w", err)
		}
	}
	return r, nil
}

// measures reports whether there are metrics.
func (r *Recorder) measures() bool { return r != nil && r.instruments != nil }

// traces reports whether there are traces.
func (r *Recorder) traces() bool { return r != nil && r.tracer != nil }

// attributes are the values that an instrument is recorded with; an empty one is left out.
type attributes struct{ kind, command, outcome, status, timer, reason string }

// with returns the option for attributes, made once for each combination.
func (r *Recorder) with(a attributes) metric.MeasurementOption {
	if option, known := r.options.Load(a); known {
		return option.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is stored
	}
	var set []attribute.KeyValue
	for _, value := range []attribute.KeyValue{
		keyKind.String(a.kind), keyCommand.String(a.command), keyOutcome.String(a.outcome),
		keyStatus.String(a.status), keyTimer.String(a.timer), keyReason.String(a.reason),
	} {
		if value.Value.AsString() != "" {
			set = append(set, value)
		}
	}
	option := metric.WithAttributeSet(attribute.NewSet(set...))
	r.options.Store(a, option)
	return option
}

// instruments are everything that is measured.
type instruments struct {
	meter metric.Meter

	commands       metric.Float64Histogram
	writes         metric.Float64Histogram
	writeEvents    metric.Int64Histogram
	writeAppends   metric.Int64Histogram
	recoveries     metric.Float64Histogram
	recoveryEvents metric.Int64Histogram
	passivations   metric.Int64Counter
	snapshots      metric.Int64Counter
	retentions     metric.Int64Counter
	sagas          metric.Int64Counter
	timers         metric.Float64Histogram
	routeRetries   metric.Int64Counter
}

// Bounds of histograms: seconds from 10 µs to 10 s, and counts up to what one write takes.
var (
	secondBounds = []float64{.00001, .000025, .00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} //nolint:gochecknoglobals // immutable
	countBounds  = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000}                                                    //nolint:gochecknoglobals // immutable
)

func newInstruments(meter metric.Meter) (*instruments, error) {
	i := &instruments{meter: meter}
	var problems []error
	seconds := func(name, description string) metric.Float64Histogram {
		h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(secondBounds...))
		problems = append(problems, err)
		return h
	}
	counts := func(name, unit, description string) metric.Int64Histogram {
		h, err := meter.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(countBounds...))
		problems = append(problems, err)
		return h
	}
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		problems = append(problems, err)
		return c
	}
	i.commands = seconds("ego.command.duration", "Time from sending a command to its answer.")
	i.writes = seconds("ego.journal.write.duration", "Time of one write of the journal to the store.")
	i.writeEvents = counts("ego.journal.write.events", "{event}", "Events of one write.")
	i.writeAppends = counts("ego.journal.write.appends", "{append}", "Appends of entities that one write carries.")
	i.recoveries = seconds("ego.recovery.duration", "Time of one recovery of an entity from the store.")
	i.recoveryEvents = counts("ego.recovery.events", "{event}", "Events replayed by one recovery.")
	i.passivations = counter("ego.entity.passivations", "{entity}", "Entities that were let go of because they were idle.")
	i.snapshots = counter("ego.snapshots", "{snapshot}", "Snapshots written, failed, or ignored by a recovery.")
	i.retentions = counter("ego.retentions", "{retention}", "Retention policies carried out after a snapshot, or failed.")
	i.sagas = counter("ego.saga.transitions", "{saga}", "Sagas that came into a status.")
	i.timers = seconds("ego.timer.delay", "How late timers fired, or failed to.")
	i.routeRetries = counter("ego.cluster.retries", "{attempt}", "Attempts to reach the node of an entity that were made again.")
	return i, errors.Join(problems...)
}

// Wrote records a write of the journal.
func (r *Recorder) Wrote(outcome string, appends, events int, duration time.Duration) {
	if !r.measures() {
		return
	}
	ctx, with := context.Background(), r.with(attributes{outcome: outcome})
	r.instruments.writes.Record(ctx, duration.Seconds(), with)
	r.instruments.writeEvents.Record(ctx, int64(events), with)
	r.instruments.writeAppends.Record(ctx, int64(appends), with)
}

// Recovered records a recovery of an entity, and how many events it replayed.
func (r *Recorder) Recovered(kind string, events uint64, duration time.Duration, err error) {
	if !r.measures() {
		return
	}
	ctx, with := context.Background(), r.with(attributes{kind: kind, outcome: outcomeOf(err)})
	r.instruments.recoveries.Record(ctx, duration.Seconds(), with)
	r.instruments.recoveryEvents.Record(ctx, int64(events), with)
}

// Passivated records that an idle entity was let go of.
func (r *Recorder) Passivated() {
	if r.measures() {
		r.instruments.passivations.Add(context.Background(), 1)
	}
}

// SnapshotIgnored records that a recovery passed over a snapshot that it could not use.
func (r *Recorder) SnapshotIgnored(kind string) {
	if r.measures() {
		r.instruments.snapshots.Add(context.Background(), 1, r.with(attributes{kind: kind, outcome: "ignored"}))
	}
}

// SnapshotWritten records that a snapshot was written, or could not be.
func (r *Recorder) SnapshotWritten(kind string, err error) {
	if r.measures() {
		r.instruments.snapshots.Add(context.Background(), 1, r.with(attributes{kind: kind, outcome: outcomeOf(err)}))
	}
}

// Retained records that a retention policy was carried out, or could not be.
func (r *Recorder) Retained(kind string, err error) {
	if r.measures() {
		r.instruments.retentions.Add(context.Background(), 1, r.with(attributes{kind: kind, outcome: outcomeOf(err)}))
	}
}

func outcomeOf(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}
