package consumer

import (
	"context"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// Lag returns how far a consumer is behind in every shard, whoever runs it. A shard without an offset counts from where the
// consumer would start.
func (g *Group) Lag(ctx context.Context, spec Spec) (map[uint32]projection.Lag, error) {
	spec = spec.withDefaults()
	if err := g.lookUpHeads(ctx, &spec); err != nil { // before the offsets: what is handled meanwhile is no lag
		return nil, err
	}
	offsets, err := g.offsets(ctx, spec.Name)
	if err != nil {
		return nil, err
	}
	lags := make(map[uint32]projection.Lag, spec.Feed.source.Shards())
	for shard := range spec.Feed.source.Shards() {
		if lags[shard], err = g.lag(ctx, &spec, shard, offsets[shard]); err != nil {
			return nil, err
		}
	}
	return lags, nil
}

func (g *Group) lag(ctx context.Context, spec *Spec, shard uint32, offset *egopb.Offset) (lag projection.Lag, err error) {
	position := offset.GetPosition()
	if offset == nil {
		position, err = spec.start(shard, g.reader(ctx, spec.Feed.source, shard, seekPage))
		if err != nil {
			return lag, err
		}
	}
	head := spec.heads[shard]
	if head <= position {
		return lag, nil
	}
	lag.Events = head - position
	oldest, err := g.oldest(ctx, spec.Feed.source, shard, position)
	if err != nil || oldest == nil {
		return lag, err
	}
	lag.Behind = max(time.Since(time.Unix(0, oldest.GetTimeUnixNano())), 0)
	return lag, nil
}

// oldest returns the first record after a position that is not deleted, nil when there is none near.
func (g *Group) oldest(ctx context.Context, source Source, shard uint32, after uint64) (*egopb.Event, error) {
	const near = 100
	page, err := g.reader(ctx, source, shard, near)(after)
	if err != nil {
		return nil, err
	}
	for _, record := range page {
		if !record.GetDeleted() {
			return record, nil
		}
	}
	return nil, nil
}

// reader returns a reader of a shard with bounded calls.
func (g *Group) reader(ctx context.Context, source Source, shard uint32, limit int) reader {
	return func(after uint64) (page []*egopb.Event, err error) {
		err = g.config.call(ctx, func(ctx context.Context) error {
			page, err = source.Read(ctx, shard, after, limit)
			return err
		})
		return page, err
	}
}
