package telemetry

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// Cluster is how a node sees its cluster.
type Cluster struct {
	State   string // of the node
	Members int64  // live ones, this node included
	Shards  int64  // that the node owns
}

func (i *instruments) cluster(ask func() Cluster) ([]gauge, error) {
	members, failed := i.meter.Int64ObservableGauge("ego.cluster.members", metric.WithUnit("{member}"),
		metric.WithDescription("Live members of the cluster that this node sees."))
	shards, err := i.meter.Int64ObservableGauge("ego.cluster.shards", metric.WithUnit("{shard}"),
		metric.WithDescription("Shards whose entities this node owns."))
	return []gauge{{members, func(o metric.Observer) {
		c := ask()
		o.ObserveInt64(members, c.Members, metric.WithAttributes(keyState.String(c.State)))
		o.ObserveInt64(shards, c.Shards)
	}}, {shards, nil}}, errors.Join(failed, err)
}
