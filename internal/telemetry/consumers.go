package telemetry

import (
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/actorkeep/ego/projection"
)

const (
	keyConsumer = attribute.Key("ego.consumer")
	keyShard    = attribute.Key("ego.shard")
	keyState    = attribute.Key("ego.state")
	keyReason   = attribute.Key("ego.reason")
)

// consumerGauges tell of the consumers of this process. Nothing of it asks a store.
type consumerGauges struct {
	shards, problems, behind, position metric.Int64Observable
	events                             metric.Int64Observable
	age                                metric.Float64Observable
}

func (i *instruments) consumers(ask func() []projection.Status) ([]gauge, error) {
	var failures []error
	number := func(name, unit, description string) metric.Int64Observable {
		made, err := i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		failures = append(failures, err)
		return made
	}
	g := consumerGauges{
		shards:   number("ego.consumer.shards", "{shard}", "Shards of a consumer that this process works on."),
		problems: number("ego.consumer.problems", "{shard}", "Shards of a consumer that do not go on, by the reason."),
		behind:   number("ego.consumer.lag.events", "{event}", "Events of a shard that the consumer has not recorded as done."),
		position: number("ego.consumer.position", "{position}", "Position of a shard up to which everything is recorded as done."),
	}
	events, err := i.meter.Int64ObservableCounter("ego.consumer.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events that a consumer of this process has dealt with."))
	failures = append(failures, err)
	age, err := i.meter.Float64ObservableGauge("ego.consumer.lag.time", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest event of a shard that the consumer has not done."))
	failures = append(failures, err)
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	g.events, g.age = events, age
	observe := func(o metric.Observer) {
		for _, status := range ask() {
			g.observe(o, &status)
		}
	}
	return []gauge{{g.shards, observe}, {g.problems, nil}, {g.behind, nil}, {g.position, nil}, {g.events, nil}, {g.age, nil}}, nil
}

// A problem is why shards do not go on.
type problem struct {
	state  projection.State
	reason string
}

func (g *consumerGauges) observe(o metric.Observer, status *projection.Status) {
	name := keyConsumer.String(status.Name)
	states := map[projection.State]int64{projection.Running: 0, projection.BackingOff: 0, projection.Failed: 0}
	problems := make(map[problem]int64)
	for i := range status.Shards {
		shard := &status.Shards[i]
		states[shard.State]++
		if shard.State != projection.Running {
			problems[problem{shard.State, shard.Reason}]++
		}
		o.ObserveInt64(g.position, int64(shard.Position), metric.WithAttributes(name, keyShard.Int64(int64(shard.Shard))))
		g.observeLag(o, name, shard)
	}
	if status.State == projection.BackingOff && states[status.State] == 0 {
		problems[problem{status.State, "store"}] = 1 // no shard is to blame: the leases cannot be asked for
	}
	for state, n := range states {
		o.ObserveInt64(g.shards, n, metric.WithAttributes(name, keyState.String(state.String())))
	}
	for p, n := range problems {
		o.ObserveInt64(g.problems, n, metric.WithAttributes(name, keyState.String(p.state.String()), keyReason.String(p.reason)))
	}
	for outcome, n := range map[string]uint64{
		"handled": status.Counts.Handled, "passed": status.Counts.Passed, "skipped": status.Counts.Skipped,
		"parked": status.Counts.Parked, "retried": status.Counts.Retries,
	} {
		o.ObserveInt64(g.events, int64(n), metric.WithAttributes(name, keyOutcome.String(outcome)))
	}
}

func (g *consumerGauges) observeLag(o metric.Observer, name attribute.KeyValue, shard *projection.ShardStatus) {
	if shard.Lag == nil {
		return
	}
	attributes := metric.WithAttributes(name, keyShard.Int64(int64(shard.Shard)))
	o.ObserveInt64(g.behind, int64(shard.Lag.Events), attributes)
	o.ObserveFloat64(g.age, shard.Lag.Behind.Seconds(), attributes)
}
