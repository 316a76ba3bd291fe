package telemetry

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"github.com/actorkeep/ego/projection"
)

// Gauges are what is asked for when metrics are collected. A nil function is left out.
type Gauges struct {
	Entities  func() int64 // live in this node
	Pending   func() int64 // appends that wait for the journal
	Snapshots func() int64 // snapshots that wait to be written
	Commands  func() int64 // commands of sagas under way

	Consumers func() []projection.Status // that this process runs
	Cluster   func() Cluster
}

// A gauge is an instrument and what observes it.
type gauge struct {
	instrument metric.Observable
	observe    func(metric.Observer)
}

// Observe has gauges asked for until the returned function is called.
func (r *Recorder) Observe(g Gauges) (stop func() error, err error) {
	if !r.measures() {
		return func() error { return nil }, nil
	}
	gauges, err := r.instruments.gauges(g)
	if err != nil {
		return nil, fmt.Errorf("ego: the gauges cannot be made: %w", err)
	}
	observed := make([]metric.Observable, len(gauges))
	for i := range gauges {
		observed[i] = gauges[i].instrument
	}
	registration, err := r.instruments.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i := range gauges {
			if gauges[i].observe != nil {
				gauges[i].observe(o)
			}
		}
		return nil
	}, observed...)
	if err != nil {
		return nil, fmt.Errorf("ego: the gauges cannot be registered: %w", err)
	}
	return registration.Unregister, nil
}

func (i *instruments) gauges(g Gauges) ([]gauge, error) {
	var (
		gauges   []gauge
		problems []error
	)
	number := func(name, unit, description string, ask func() int64) {
		if ask == nil {
			return
		}
		made, err := i.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		problems = append(problems, err)
		gauges = append(gauges, gauge{made, func(o metric.Observer) { o.ObserveInt64(made, ask()) }})
	}
	number("ego.entity.live", "{entity}", "Entities that are live in this node.", g.Entities)
	number("ego.journal.pending", "{append}", "Appends that wait for the next write of the journal.", g.Pending)
	number("ego.snapshot.pending", "{snapshot}", "Snapshots that wait to be written.", g.Snapshots)
	number("ego.saga.commands", "{command}", "Commands of sagas that are under way.", g.Commands)
	if g.Consumers != nil {
		consumers, err := i.consumers(g.Consumers)
		gauges, problems = append(gauges, consumers...), append(problems, err)
	}
	if g.Cluster != nil {
		cluster, err := i.cluster(g.Cluster)
		gauges, problems = append(gauges, cluster...), append(problems, err)
	}
	return gauges, errors.Join(problems...)
}
