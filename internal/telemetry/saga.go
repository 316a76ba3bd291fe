package telemetry

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/timer"
)

const (
	keyStatus = attribute.Key("ego.status")
	keyTimer  = attribute.Key("ego.timer")
)

// SagaBecame records that a saga came into a status.
func (r *Recorder) SagaBecame(kind string, status egopb.SagaStatus) {
	if r.measures() {
		name := strings.ToLower(strings.TrimPrefix(status.String(), "SAGA_STATUS_"))
		r.instruments.sagas.Add(context.Background(), 1, r.with(attributes{kind: kind, status: name}))
	}
}

// Fired records that a timer fired, that its handler failed or gave it up, and how late. Kinds of timers are ego's own and few.
func (r *Recorder) Fired(kind string, late time.Duration, err error) {
	if r.measures() {
		outcome := outcomeOf(err)
		if errors.Is(err, timer.ErrAbandoned) {
			outcome = "abandoned"
		}
		r.instruments.timers.Record(context.Background(), max(late, 0).Seconds(), r.with(attributes{timer: kind, outcome: outcome}))
	}
}

// RoutedAgain records that a call looks for the node of its entity again.
func (r *Recorder) RoutedAgain(reason string) {
	if r.measures() {
		r.instruments.routeRetries.Add(context.Background(), 1, r.with(attributes{reason: reason}))
	}
}
