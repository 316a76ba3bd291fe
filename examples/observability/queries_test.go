package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"
)

// A sample is one value of a series.
type sample struct {
	at    int64 // milliseconds
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// A scraped is what a Prometheus would have stored of a service. It is what the engine of Prometheus asks.
type scraped struct {
	series  map[string]labels.Labels
	samples map[string][]chunks.Sample
}

// scrape adds what the service exports now, under a time.
func (d *scraped) scrape(t *testing.T, s *service, at time.Time) {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			d.add(at, m, family.GetName(), m.GetCounter().GetValue()+m.GetGauge().GetValue(), m.GetHistogram() == nil)
			if h := m.GetHistogram(); h != nil {
				d.add(at, m, family.GetName()+"_count", float64(h.GetSampleCount()), true)
				d.add(at, m, family.GetName()+"_sum", h.GetSampleSum(), true)
				for _, b := range h.GetBucket() {
					d.add(at, m, family.GetName()+"_bucket", float64(b.GetCumulativeCount()), true, "le", strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
				}
				d.add(at, m, family.GetName()+"_bucket", float64(h.GetSampleCount()), true, "le", "+Inf")
			}
		}
	}
}

func (d *scraped) add(at time.Time, m *dto.Metric, name string, value float64, wanted bool, more ...string) {
	if !wanted {
		return
	}
	pairs := append([]string{model.MetricNameLabel, name}, more...)
	for _, pair := range m.GetLabel() {
		pairs = append(pairs, pair.GetName(), pair.GetValue())
	}
	set := labels.FromStrings(pairs...)
	d.series[set.String()] = set
	d.samples[set.String()] = append(d.samples[set.String()], sample{at.UnixMilli(), value})
}

// Querier implements [storage.Queryable].
func (d *scraped) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		found := &selected{}
		for name, set := range d.series {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(set.Get(m.Name)) }) {
				found.series = append(found.series, storage.NewListSeries(set, d.samples[name]))
			}
		}
		return found
	}}, nil
}

// selected is a [storage.SeriesSet].
type selected struct {
	series []storage.Series
	next   int
}

func (s *selected) Next() bool                        { s.next++; return s.next <= len(s.series) }
func (s *selected) At() storage.Series                { return s.series[s.next-1] }
func (s *selected) Err() error                        { return nil }
func (s *selected) Warnings() annotations.Annotations { return nil }

// A query is an expression of a panel or a part of an alert.
type query struct{ name, text string }

// parts are the parts of an alert's expression that are compared with something, or the whole expression: each must have a
// value when what it watches exists.
func parts(expression parser.Expr) []string {
	switch e := expression.(type) {
	case *parser.ParenExpr:
		return parts(e.Expr)
	case *parser.BinaryExpr:
		if e.Op.IsSetOperator() && e.Op != parser.LUNLESS {
			return append(parts(e.LHS), parts(e.RHS)...)
		}
		if e.Op.IsComparisonOperator() {
			return parts(e.LHS)
		}
	}
	return []string{expression.String()}
}

// alerts returns the parts of the alert rules, which must be valid and say what they are about.
func alerts(t *testing.T, p parser.Parser) []query {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.yaml"))
	require.NoError(t, err)
	groups, problems := rulefmt.Parse(text, false, model.LegacyValidation, p, slog.New(slog.DiscardHandler))
	require.Empty(t, problems)
	var all []query
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			require.NotEmpty(t, rule.Alert)
			require.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(rule.Annotations["summary"], -1) {
				require.Regexp(t, `by \([^)]*`+label[1], rule.Expr, "%s loses the label that its summary shows", rule.Alert)
			}
			expression, err := p.ParseExpr(rule.Expr)
			require.NoError(t, err, rule.Alert)
			for _, part := range parts(expression) {
				all = append(all, query{rule.Alert, part})
			}
		}
	}
	return all
}
