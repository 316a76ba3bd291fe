package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
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

// TestDashboard holds the names and labels of every query and alert against what the service exports.
func TestDashboard(t *testing.T) { // G12
	t.Parallel()
	s := startTroubled(t)
	s.happen(t, 1)

	word := regexp.MustCompile(`\b(ego_\w+|le)\b`)
	exported := s.series(t)
	all := queries(t)
	require.NotEmpty(t, all)
	for _, alert := range alerts(t, parser.NewParser(parser.Options{})) {
		all[alert.name] = append(all[alert.name], alert.text)
	}
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
