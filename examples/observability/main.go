// Command observability is a service that embeds ego and can be watched: Prometheus metrics at /metrics, health at /livez and
// /readyz, a structured log on standard error. It counts visits to pages, keeps the totals in a read model, and makes its own
// load. docs/grafana-dashboard.json shows its metrics.
//
//	go run . -listen :9464 -dir /tmp/observability
//
// It is a module of its own, so that programs that use ego do not get the Prometheus client with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	listen := flag.String("listen", ":9464", "address of /metrics, /livez and /readyz")
	dir := flag.String("dir", os.TempDir(), "directory of the journal")
	every := flag.Duration("every", 5*time.Millisecond, "time between two visits")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, filepath.Join(*dir, "visits.db"), *every); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// run serves and makes visits until the context ends.
func run(ctx context.Context, listen, file string, every time.Duration) (err error) {
	s, err := start(ctx, file, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop(context.WithoutCancel(ctx))) }()
	server := &http.Server{Addr: listen, Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	visits := time.NewTicker(every)
	defer visits.Stop()
	for {
		select {
		case <-visits.C:
			s.visit(ctx)
		case err := <-served:
			return err
		case <-ctx.Done():
			return server.Close()
		}
	}
}
