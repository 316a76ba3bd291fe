package ego_test

import (
	_ "github.com/stretchr/testify/require"
	_ "github.com/tochemey/goakt/v3/actor"
	_ "go.opentelemetry.io/otel/metric"
	_ "go.opentelemetry.io/otel/trace"
	_ "go.uber.org/goleak"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid"
)
