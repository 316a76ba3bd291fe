package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/health"
	"github.com/actorkeep/ego/persistence/sqlite"
	"github.com/actorkeep/ego/projection"
)

const (
	pages    = 100
	patience = time.Second
)

// A service counts visits to pages.
type service struct {
	store    *sqlite.Store
	engine   *ego.Engine
	metrics  *sdkmetric.MeterProvider
	registry *prometheus.Registry
	log      *slog.Logger
	totals   totals
}

// start starts the service on a file.
func start(ctx context.Context, file string, log *slog.Logger, opts ...ego.Option) (*service, error) {
	s := &service{registry: prometheus.NewRegistry(), log: log}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(s.registry))
	if err != nil {
		return nil, err
	}
	s.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	if s.store, err = sqlite.Open(file); err != nil {
		return nil, err
	}
	if err := s.store.Connect(ctx); err != nil {
		return nil, err
	}
	s.engine = ego.NewEngine("visits", s.store, append([]ego.Option{
		ego.WithTelemetry(&ego.Telemetry{MeterProvider: s.metrics}), // a TracerProvider as well, where traces go to
		ego.WithLogger(log),
		ego.WithKinds(ego.EventSourcedKind("page", func(id string) ego.EventSourcedBehavior { return page(id) })),
		ego.WithSnapshotInterval(1000),
		ego.WithPassivateAfter(time.Minute),
		ego.WithProjection("totals", &projection.Options{Handler: &s.totals}),
	}, opts...)...)
	if err := s.engine.Start(ctx); err != nil {
		return nil, errors.Join(err, s.store.Disconnect(ctx))
	}
	for i := range pages {
		if err := s.engine.Entity(ctx, page(pageID(i))); err != nil {
			return nil, errors.Join(err, s.stop(ctx))
		}
	}
	if err := s.engine.StartProjection(ctx, "totals"); err != nil {
		return nil, errors.Join(err, s.stop(ctx))
	}
	return s, nil
}

// handler serves what watches the service.
func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	mux.Handle("/", health.Handler(s.engine, health.DefaultTimeout))
	return mux
}

// visit visits a page.
func (s *service) visit(ctx context.Context) {
	id := pageID(rand.IntN(pages))
	if _, _, err := s.engine.SendCommand(ctx, id, wrapperspb.Int64(1), patience); err != nil && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a visit was not counted", slog.String("page", id), slog.Any("error", err))
	}
}

func (s *service) stop(ctx context.Context) error {
	return errors.Join(s.engine.Stop(ctx), s.metrics.Shutdown(ctx), s.store.Disconnect(ctx))
}

func pageID(i int) string { return fmt.Sprintf("page-%02d", i) }
