package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/projection"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// series returns the names of all series that are exported, each with its labels.
func (s *service) series(t *testing.T) map[string][]string {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	found := make(map[string][]string)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, pair := range metric.GetLabel() {
				labels = append(labels, pair.GetName())
			}
			names := []string{family.GetName()}
			if metric.GetHistogram() != nil {
				names = []string{family.GetName() + "_count", family.GetName() + "_sum", family.GetName() + "_bucket"}
				labels = append(labels, "le")
			}
			for _, name := range names {
				found[name] = append(found[name], labels...)
			}
		}
	}
	return found
}

// queries returns the expressions of the dashboard, by the title of their panel.
func queries(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "grafana-dashboard.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	found := make(map[string][]string)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			found[panel.Title] = append(found[panel.Title], target.Expr)
		}
	}
	return found
}

// TestDashboard holds every query against what the service exports. What takes a cluster, sagas or a fault is recorded by
// hand, through the recorder that an engine has.
func TestDashboard(t *testing.T) { // G12
	t.Parallel()
	broken := projection.HandlerFunc(func(context.Context, *projection.Event) error { return errors.New("no index") })
	s, err := start(t.Context(), filepath.Join(t.TempDir(), "visits.db"), slog.New(slog.DiscardHandler),
		ego.WithProjection("broken", &projection.Options{Handler: broken}))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.stop(context.Background())) })
	require.NoError(t, s.engine.StartProjection(t.Context(), "broken"))
	s.visit(t.Context())
	_, _, err = s.engine.SendCommand(t.Context(), pageID(0), wrapperspb.Int64(-1), patience)
	require.Error(t, err)
	recorder, err := telemetry.New(nil, s.metrics)
	require.NoError(t, err)
	recorder.SagaBecame("transfer", egopb.SagaStatus_SAGA_STATUS_RUNNING)
	recorder.Fired("ego.saga", time.Millisecond, nil)
	recorder.RoutedAgain("moved")
	recorder.Passivated()
	recorder.SnapshotWritten("page", errors.New("full"))
	recorder.Retained("page", nil)

	word := regexp.MustCompile(`\b(ego_\w+|le)\b`)
	var exported map[string][]string
	require.Eventually(t, func() bool {
		exported = s.series(t)
		return s.totals.visits.Load() == 1 && exported["ego_consumer_lag_events"] != nil && exported["ego_consumer_problems"] != nil
	}, time.Minute, 10*time.Millisecond)
	all := queries(t)
	require.NotEmpty(t, all)
	shown := make(map[string]bool)
	for title, expressions := range all {
		for _, expression := range expressions {
			var labels []string
			words := word.FindAllString(expression, -1)
			for _, w := range words {
				if of, ok := exported[w]; ok {
					labels = append(labels, of...)
					shown[w] = true
				}
			}
			require.NotEmpty(t, labels, "%s: no series of %s is exported", title, expression)
			for _, w := range words {
				require.True(t, exported[w] != nil || slices.Contains(labels, w), "%s: %s is neither a series nor a label of one in %s", title, w, expression)
			}
		}
	}
	for _, name := range []string{"ego_command_duration_seconds_count", "ego_consumer_lag_events", "ego_consumer_problems"} {
		require.True(t, shown[name], "the dashboard lacks %s", name)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	s, err := start(t.Context(), filepath.Join(t.TempDir(), "visits.db"), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.stop(context.Background())) })
	for _, path := range []string{"/metrics", "/livez", "/readyz"} {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		require.Equal(t, http.StatusOK, w.Code, path)
	}
}
