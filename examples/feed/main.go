// Command feed shows the events of an engine live in a browser.
//
//	go run ./examples/feed
//
// It deposits a coin into one of a few accounts every second. The page follows by server-sent events, and goes on where it
// was after the connection was lost.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher/websocket"
)

//go:embed index.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *addr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// box counts its coins.
type box struct{ id string }

func (b *box) ID() string              { return b.id }
func (b *box) InitialState() ego.State { return wrapperspb.Int64(0) }

func (b *box) HandleCommand(_ context.Context, command ego.Command, _ ego.State) ([]ego.Event, error) {
	return []ego.Event{command}, nil
}

func (b *box) HandleEvent(_ context.Context, event ego.Event, prior ego.State) (ego.State, error) {
	return wrapperspb.Int64(prior.(*wrapperspb.Int64Value).GetValue() + event.(*wrapperspb.Int64Value).GetValue()), nil
}

func run(ctx context.Context, addr string) (err error) {
	engine := ego.NewEngine("feed", memory.NewStore())
	if err := engine.Start(ctx); err != nil {
		return err
	}
	site, err := newSite(engine)
	if err != nil {
		return err
	}
	server := &http.Server{Addr: addr, Handler: site, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	fmt.Println("open http://" + addr)
	select {
	case err = <-failed:
	case err = <-deposit(ctx, engine):
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, engine.Stop(ending), server.Shutdown(ending)) // the engine first: that ends the feeds
}

// newSite serves the page, and the events that it shows.
func newSite(engine *ego.Engine) (http.Handler, error) {
	feed, err := websocket.NewHandler(websocket.HandlerConfig{
		Events:    engine.EventStream(),
		Authorize: websocket.AllowAll, // a real service asks who it is
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/events", feed)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // a browser that has gone needs no page
	})
	return mux, nil
}

// deposit puts a coin into a box every second until the context ends.
func deposit(ctx context.Context, engine *ego.Engine) <-chan error {
	done := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-ticker.C:
			}
			b := &box{fmt.Sprintf("box-%d", i%3)}
			err := engine.Entity(ctx, b)
			if err == nil {
				_, _, err = engine.SendCommand(ctx, b.id, wrapperspb.Int64(1), time.Second)
			}
			if err != nil && ctx.Err() == nil {
				done <- err
				return
			}
		}
	}()
	return done
}
