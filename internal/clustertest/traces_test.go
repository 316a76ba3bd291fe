package clustertest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/actorkeep/ego"
)

// A spanOf is a span as a test gets it from the process that recorded it.
type spanOf struct {
	Node, Name, Kind, Trace, ID, Parent string
	Attributes                          map[string]string
}

// recording is what a node records of its traces.
type recording struct {
	exporter *tracetest.InMemoryExporter
	provider *sdktrace.TracerProvider
}

// record has a node record traces, when it is to.
func record(spec *nodeSpec) *recording {
	if !spec.Traces {
		return nil
	}
	exporter := tracetest.NewInMemoryExporter()
	return &recording{exporter, sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))}
}

func (r *recording) option() ego.Option {
	if r == nil {
		return nil
	}
	return ego.WithTelemetry(&ego.Telemetry{TracerProvider: r.provider})
}

// request returns a context with the span of a caller of the node.
func (r *recording) request(ctx context.Context) (context.Context, func()) {
	if r == nil {
		return ctx, func() {}
	}
	ctx, span := r.provider.Tracer("caller").Start(ctx, "request")
	return ctx, func() { span.End() }
}

// spans returns what was recorded.
func (r *recording) spans() []spanOf {
	var spans []spanOf
	for _, s := range r.exporter.GetSpans() {
		span := spanOf{
			Name: s.Name, Kind: s.SpanKind.String(), Trace: s.SpanContext.TraceID().String(), ID: s.SpanContext.SpanID().String(),
			Attributes: make(map[string]string),
		}
		if s.Parent.IsValid() {
			span.Parent = s.Parent.SpanID().String()
		}
		for _, a := range s.Attributes {
			span.Attributes[string(a.Key)] = a.Value.String()
		}
		spans = append(spans, span)
	}
	return spans
}

// traceOf returns the spans of all nodes that belong to the trace of a command on an entity, by their paths from the root.
func traceOf(c *testCluster, id string) map[string]spanOf {
	byID, root := make(map[string]spanOf), ""
	for _, node := range c.nodes {
		for _, span := range node.must(call{Op: "spans"}).Spans {
			span.Node = node.name
			byID[span.ID] = span
			if span.Attributes["ego.entity"] == id && span.Attributes["ego.command"] == "egotest.v1.Deposit" {
				root = span.Trace
			}
		}
	}
	paths := make(map[string]spanOf)
	for _, span := range byID {
		if span.Trace != root {
			continue
		}
		path := span.Name
		for at := span; at.Parent != ""; path = at.Name + "/" + path {
			parent, known := byID[at.Parent]
			if !known {
				parent = spanOf{Name: "missing"}
			}
			at = parent
		}
		paths[path] = span
	}
	return paths
}

// One trace leads from a caller of one process through the process that owns the entity, and on to its projection.
func TestTraces(t *testing.T) { // G12
	t.Parallel()
	c := newCluster(t, 2, func(i int, spec *nodeSpec) {
		spec.Traces = true
		spec.Projection = i == 0
	})
	const (
		command = "request/command egotest.v1.Deposit"
		far     = command + "/ask command egotest.v1.Deposit/serve command egotest.v1.Deposit"
	)
	crossed := 0
	for i := 0; i < 4 || crossed == 0; i++ {
		require.Less(t, i, 64, "every entity belongs to the node that was asked")
		id := fmt.Sprint("traced-", i)
		c.nodes[0].must(call{Op: "entity", ID: id})
		c.nodes[0].must(call{Op: "deposit", ID: id, Amount: 1})
		served := command
		var paths map[string]spanOf
		await(t, "the projection has the event", func() bool {
			paths = traceOf(c, id)
			if _, travelled := paths[far]; travelled {
				served = far
			}
			_, projected := paths[served+"/process "+seenProjection]
			return projected
		})
		require.Contains(t, paths, served+"/append", "the write is where the entity is: %v", paths)
		for path := range paths {
			require.NotContains(t, path, "missing", "every parent was recorded")
		}
		if served == command {
			continue
		}
		crossed++
		owner := paths[far]
		require.Equal(t, c.nodes[1].name, owner.Node)
		require.Equal(t, trace.SpanKindServer.String(), owner.Kind)
		require.Equal(t, owner.Node, paths[far+"/append"].Node)
		require.Equal(t, "ok", owner.Attributes["ego.outcome"])
		asked := paths[command+"/ask command egotest.v1.Deposit"]
		require.Equal(t, c.nodes[0].name, asked.Node)
		require.Equal(t, trace.SpanKindClient.String(), asked.Kind)
		require.Equal(t, fmt.Sprint(c.nodes[1].spec.Remoting), asked.Attributes["server.port"])
		require.Equal(t, c.nodes[0].name, paths[far+"/process "+seenProjection].Node)
	}
	require.True(t, slices.ContainsFunc(c.nodes[1].must(call{Op: "spans"}).Spans, func(s spanOf) bool { return s.Name == "serve activate" }),
		"what is no command has its span as well")
}
