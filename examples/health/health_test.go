package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/health"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/persistence/persistencetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, handler http.Handler, path string) (int, health.Report) {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	var report health.Report
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &report))
	return w.Code, report
}

func TestHandler(t *testing.T) { // G12
	t.Parallel()
	store, faults := memory.NewStore(), persistencetest.NewFaults()
	require.NoError(t, store.Connect(t.Context()))
	engine := ego.NewEngine("test", faults.Events(store), ego.WithStateStore(faults.States(store)))
	handler := health.Handler(engine, time.Second)

	code, report := ask(t, handler, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, []string{ego.ErrEngineNotStarted.Error()}, report.Problems)

	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
	code, report = ask(t, handler, "/readyz")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, health.Report{Status: "ok"}, report)

	faults.On("Ping").Fail(errors.New("no route to host"))
	code, report = ask(t, handler, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, []string{
		"ego: the events store does not answer: no route to host", "ego: the state store does not answer: no route to host",
	}, report.Problems, "every problem is named")
	code, _ = ask(t, handler, "/livez")
	require.Equal(t, http.StatusOK, code, "a restart cures no store")
}
