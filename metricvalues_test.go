package ego_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/projection"
)

// A valueList is where docs/metrics.md lists the values of an attribute, and what they are.
type valueList struct {
	what  string
	after string // the text that the list follows
	until string // the text that ends it
	is    []string
}

// isValue matches a value of an attribute, and no name of Go or of an instrument.
var isValue = regexp.MustCompile(`^[a-z]+(?:[_ ][a-z]+)*$`)

// listed returns the values that the page lists.
func (l *valueList) listed(t *testing.T, page string) []string {
	t.Helper()
	_, rest, found := strings.Cut(page, l.after)
	require.True(t, found, "%s: docs/metrics.md no longer says %q", l.what, l.after)
	rest, _, found = strings.Cut(rest, l.until)
	require.True(t, found, "%s: docs/metrics.md no longer says %q", l.what, l.until)
	var values []string
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(rest, -1) {
		if isValue.MatchString(quoted[1]) {
			values = append(values, quoted[1])
		}
	}
	return values
}

// valuesOf returns the values that a function names.
func valuesOf(t *testing.T, file, function string) []string {
	t.Helper()
	values := map[string]bool{}
	for _, parsed := range parseTree(t, func(path string) bool { return filepath.ToSlash(path) == file }) {
		for _, decl := range parsed[0].Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name != function {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil && isValue.MatchString(text) {
						values[text] = true
					}
				}
				return true
			})
		}
	}
	require.NotEmpty(t, values, "%s has no %s that names values", file, function)
	return slices.Sorted(maps.Keys(values))
}

// TestMetricValuesAreThoseDocumented holds the values of attributes that docs/metrics.md lists against those that the code
// gives: a dashboard asks for them by name.
func TestMetricValuesAreThoseDocumented(t *testing.T) { // G12
	t.Parallel()
	text, err := os.ReadFile("docs/metrics.md")
	require.NoError(t, err)
	var statuses []string
	for _, name := range egopb.SagaStatus_name {
		statuses = append(statuses, strings.ToLower(strings.TrimPrefix(name, "SAGA_STATUS_")))
	}
	statuses = slices.DeleteFunc(statuses, func(name string) bool { return name == "unspecified" })
	delivered := valuesOf(t, "internal/telemetry/consumers.go", "observe")
	delivered = slices.DeleteFunc(delivered, func(name string) bool { return name == "store" }) // a reason
	for _, l := range []valueList{
		{"outcomes of commands", "The outcomes of a command are", "those of a write", append(valuesOf(t, "telemetry.go", "outcomeOf"), "ok", "refused")},
		{"outcomes of writes", "those of a write", "Entities are attributes", valuesOf(t, "internal/journal/errors.go", "String")},
		{"reasons of problems", "The reasons of a problem are", "A shard is reported", valuesOf(t, "internal/consumer/trouble.go", "reasonOf")},
		{"reasons of retries", "| `ego.cluster.retries`", "\n", valuesOf(t, "internal/cluster/route.go", "retried")},
		{"outcomes of consumers", "| `ego.consumer.events`", "\n", delivered},
		{"states of shards", "| `ego.consumer.shards`", "\n", []string{projection.Running.String(), projection.BackingOff.String(), projection.Failed.String()}},
		{"statuses of sagas", "| `ego.saga.transitions`", "\n", statuses},
	} {
		require.ElementsMatch(t, l.is, l.listed(t, string(text)), "%s: left is the code, right is docs/metrics.md", l.what)
	}
}

// TestAttributesAreThoseDocumented holds the attributes of metrics and spans that docs/metrics.md names against those that the
// code gives. Those of messaging are documented by their prefix.
func TestAttributesAreThoseDocumented(t *testing.T) { // G12
	t.Parallel()
	page, err := os.ReadFile("docs/metrics.md")
	require.NoError(t, err)
	key := regexp.MustCompile(`^(?:ego|db|server)\.[a-z]+(?:[._][a-z]+)*$`)
	instruments := documented(t)
	said := map[string]bool{}
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		if _, known := instruments[quoted[1]]; !known && key.MatchString(quoted[1]) {
			said[quoted[1]] = true
		}
	}
	given := map[string]bool{}
	for _, files := range parseTree(t, func(path string) bool {
		return filepath.Dir(path) == filepath.Join("internal", "telemetry") && !isTestFile(path)
	}) {
		for text := range stringLiterals(files) {
			if _, known := instruments[text]; !known && key.MatchString(text) {
				given[text] = true
			}
		}
	}
	require.Greater(t, len(given), 10)
	require.Equal(t, slices.Sorted(maps.Keys(given)), slices.Sorted(maps.Keys(said)), "left is the code, right is docs/metrics.md")
}
