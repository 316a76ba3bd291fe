package main

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/internal/timer"
	"github.com/actorkeep/ego/projection"
	"github.com/actorkeep/ego/publisher"
)

// An outage is a publisher whose broker is away.
type outage struct{}

func (outage) ID() string { return "outage" }
func (outage) Publish(context.Context, *egopb.Event) error {
	return publisher.Unavailable(errors.New("connection refused"))
}
func (outage) Close(context.Context) error { return nil }

// A troubled is a service in which everything that a query can show or an alert can ring for happens. What takes a cluster,
// sagas or a failing store is recorded by hand, through the recorder that an engine has.
type troubled struct {
	*service
	recorder *telemetry.Recorder
}

func startTroubled(t *testing.T) *troubled {
	t.Helper()
	broken := projection.HandlerFunc(func(context.Context, *projection.Event) error { return errors.New("no index") })
	parks := projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park))
	s, err := start(t.Context(), filepath.Join(t.TempDir(), "visits.db"), slog.New(slog.DiscardHandler),
		ego.WithProjection("fails", &projection.Options{Handler: broken}),
		ego.WithProjection("parks", &projection.Options{Handler: broken, Recovery: parks}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.stop(context.Background())) })
	require.NoError(t, s.engine.StartProjection(t.Context(), "fails"))
	require.NoError(t, s.engine.StartProjection(t.Context(), "parks"))
	require.NoError(t, s.engine.AddEventPublishers(outage{}))
	recorder, err := telemetry.New(nil, s.metrics)
	require.NoError(t, err)
	fenced := func() telemetry.Cluster { return telemetry.Cluster{State: "fenced", Members: 1} }
	stop, err := recorder.Observe(telemetry.Gauges{Cluster: fenced})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	return &troubled{s, recorder}
}

// happen lets everything happen once, and waits until the metrics say so.
func (s *troubled) happen(t *testing.T, visits int64) {
	t.Helper()
	s.visit(t.Context())
	_, _, err := s.engine.SendCommand(t.Context(), pageID(0), wrapperspb.Int64(-1), patience)
	require.Error(t, err)
	failure := errors.New("the disk is full")
	for _, outcome := range []string{"unknown", "write_failed", "panic", "recovery"} {
		_, command := s.recorder.Command(t.Context(), "page-00", "google.protobuf.Int64Value")
		command.End("page", outcome, false, failure)
	}
	s.recorder.Wrote("not_written", 1, 1, time.Millisecond)
	for _, err := range []error{nil, failure} {
		s.recorder.Recovered("page", 10, time.Millisecond, err)
		s.recorder.SnapshotWritten("page", err)
		s.recorder.Retained("page", err)
		s.recorder.Fired("ego.saga", time.Millisecond, err)
	}
	s.recorder.Fired("ego.command", time.Millisecond, timer.ErrAbandoned)
	s.recorder.SagaBecame("transfer", egopb.SagaStatus_SAGA_STATUS_RUNNING)
	s.recorder.SagaBecame("transfer", egopb.SagaStatus_SAGA_STATUS_FAILED)
	s.recorder.RoutedAgain("no_quorum")
	s.recorder.Passivated()
	require.Eventually(t, func() bool {
		exported := s.series(t)
		parks, err := s.engine.ProjectionStatus(t.Context(), "parks")
		away, alsoErr := s.engine.PublisherStatus(t.Context(), "outage")
		return err == nil && alsoErr == nil && s.totals.visits.Load() == visits && parks.Counts.Parked > 0 &&
			slices.ContainsFunc(away.Shards, func(shard projection.ShardStatus) bool { return shard.State == projection.BackingOff }) &&
			exported["ego_consumer_lag_events"] != nil && exported["ego_consumer_problems"] != nil
	}, time.Minute, 10*time.Millisecond)
}

// TestQueries has the engine of Prometheus evaluate every query of the dashboard and every condition of the alerts over two
// scrapes of a service, a minute apart. Each selector must find series, and each query a value.
func TestQueries(t *testing.T) { // G12
	t.Parallel()
	s := startTroubled(t)
	data := &scraped{series: make(map[string]labels.Labels), samples: make(map[string][]chunks.Sample)}
	begin := time.Unix(1_000_000, 0)
	end := begin.Add(time.Minute)
	s.happen(t, 1)
	data.scrape(t, s.service, begin)
	s.happen(t, 2)
	data.scrape(t, s.service, end)

	p := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, Parser: p})
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	all := alerts(t, p)
	require.Greater(t, len(all), 10)
	for title, expressions := range queries(t) {
		for _, expression := range expressions {
			all = append(all, query{title, strings.ReplaceAll(expression, "$__rate_interval", "5m")})
		}
	}
	value := func(text string) promql.Vector {
		q, err := engine.NewInstantQuery(t.Context(), data, nil, text, end)
		require.NoError(t, err, text)
		defer q.Close()
		vector, err := q.Exec(t.Context()).Vector()
		require.NoError(t, err, text)
		return vector
	}
	for _, q := range all {
		expression, err := p.ParseExpr(q.text)
		require.NoError(t, err, "%s: %s", q.name, q.text)
		parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				plain := &parser.VectorSelector{Name: selector.Name, LabelMatchers: selector.LabelMatchers}
				require.NotEmpty(t, value(plain.String()), "%s: nothing is exported that matches %s", q.name, plain)
			}
			return nil
		})
		result := value(q.text)
		require.NotEmpty(t, result, "%s: %s has no value", q.name, q.text)
		require.False(t, math.IsNaN(result[0].F), "%s: %s is no number", q.name, q.text)
	}
}
