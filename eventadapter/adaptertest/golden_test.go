package adaptertest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/eventadapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a test that may fail.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// run runs golden files in a mode and returns the failures.
func run(t *testing.T, mode string, g adaptertest.Golden) string {
	t.Helper()
	t.Setenv("EGO_GOLDEN", mode)
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(r)
	}()
	<-done
	return strings.Join(r.failures, "\n")
}

// The life of a golden file: recorded, opened by the same code, by code that has changed, and by code that adapts.
func TestGolden(t *testing.T) { // not parallel: the mode is in the environment
	g := adaptertest.Golden{
		Dir:     filepath.Join(t.TempDir(), "golden"),
		Samples: []proto.Message{wrapperspb.Int32(5), wrapperspb.Int32(6), wrapperspb.String("é")},
	}
	require.Contains(t, run(t, "", g), "there are no golden files")
	require.Empty(t, run(t, "record", g))
	require.Empty(t, run(t, "", g))
	recorded := files(t, g.Dir)
	require.Len(t, recorded, 3)

	changed := g
	changed.Samples = []proto.Message{wrapperspb.Int32(7), wrapperspb.Bool(true)}
	require.Contains(t, run(t, "", changed), "google.protobuf.BoolValue.v0-1.json is missing")
	changed.Samples = changed.Samples[:1]
	require.Empty(t, run(t, "record", changed))
	require.Equal(t, recorded, files(t, g.Dir), "what was recorded stays")

	double := g
	double.Adapters = []eventadapter.EventAdapter{eventadapter.Upcast(func(old *wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) {
		return wrapperspb.Int64(2 * int64(old.GetValue())), nil
	})}
	failures := run(t, "", double)
	require.Contains(t, failures, "it opens as [google.protobuf.Int64Value{")
	require.Len(t, strings.Split(failures, "\n"), 2, "two of the three files")
	require.Empty(t, run(t, "update", double))
	require.Empty(t, run(t, "", double))
	for name, content := range files(t, g.Dir) {
		require.Equal(t, value(recorded[name]), value(content), "the stored event stays")
	}

	double.Adapters = []eventadapter.EventAdapter{nil}
	require.Contains(t, run(t, "", double), "adapter 1 is nil")
	require.NoError(t, os.WriteFile(filepath.Join(g.Dir, "x.json"), []byte(`{"type_url":"x.Gone","opens_as":[]}`), 0o600))
	require.Contains(t, run(t, "", g), "x.json: event 1 of")
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		all[entry.Name()] = string(content)
	}
	return all
}

// value returns the line of a file with the stored event.
func value(content string) string {
	for line := range strings.Lines(content) {
		if strings.Contains(line, `"value"`) {
			return line
		}
	}
	return ""
}
