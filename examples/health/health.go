// Package health serves what orchestrators ask of a service that embeds ego: whether it lives and whether it is ready.
//
//	mux.Handle("/", health.Handler(engine, health.DefaultTimeout))
//
// GET /livez answers 200 as long as the process serves requests. It does not look at stores: a restart cures no outage of a
// database, and would make a fleet restart together. GET /readyz answers 200 when [ego.Engine.Health] finds nothing wrong, and
// else 503 with all that is.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// DefaultTimeout bounds a question for readiness.
const DefaultTimeout = 2 * time.Second

// An Engine is what is asked. It is an *ego.Engine.
type Engine interface {
	Health(ctx context.Context) error
}

// A Report is the body of an answer.
type Report struct {
	Status   string   `json:"status"` // "ok" or "unavailable"
	Problems []string `json:"problems,omitempty"`
}

// Handler serves /livez and /readyz. A question for readiness that takes longer than the timeout is answered with 503.
func Handler(engine Engine, timeout time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, Report{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if problems := problemsOf(engine.Health(ctx)); len(problems) > 0 {
			write(w, http.StatusServiceUnavailable, Report{Status: "unavailable", Problems: problems})
			return
		}
		write(w, http.StatusOK, Report{Status: "ok"})
	})
	return mux
}

// problemsOf takes a joined error apart.
func problemsOf(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var problems []string
	for _, one := range joined.Unwrap() {
		problems = append(problems, problemsOf(one)...)
	}
	return problems
}

func write(w http.ResponseWriter, status int, report Report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report) //nolint:errchkjson // the client is gone
}
