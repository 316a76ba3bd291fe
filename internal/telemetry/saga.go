package telemetry

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/actorkeep/ego/egopb"
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

// Fired records that a timer fired, or that its handler failed, and how late. Kinds of timers are ego's own and few.
func (r *Recorder) Fired(kind string, late time.Duration, err error) {
	if r.measures() {
		r.instruments.timers.Record(context.Background(), max(late, 0).Seconds(), r.with(attributes{timer: kind, outcome: outcomeOf(err)}))
	}
}

// RoutedAgain records that a call looks for the node of its entity again.
func (r *Recorder) RoutedAgain(reason string) {
	if r.measures() {
		r.instruments.routeRetries.Add(context.Background(), 1, r.with(attributes{reason: reason}))
	}
}
