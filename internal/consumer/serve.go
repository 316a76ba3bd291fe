package consumer

import (
	"context"
	"log/slog"

	"github.com/actorkeep/ego/egopb"
)

// A requestKey names a request.
type requestKey struct {
	shard    uint32
	position uint64
}

func keyOf(request *egopb.DeadLetter) requestKey {
	return requestKey{request.GetEvent().GetShard(), request.GetEvent().GetPosition()}
}

// openRequests returns the requests that nobody has carried out yet.
func (g *Group) openRequests(ctx context.Context) (open map[requestKey]*egopb.DeadLetter, err error) {
	err = g.config.call(ctx, func(ctx context.Context) error {
		open = make(map[requestKey]*egopb.DeadLetter)
		for request, err := range g.config.Letters.DeadLetters(ctx, requestsName) {
			if err != nil {
				return err
			}
			open[keyOf(request)] = request
		}
		return nil
	})
	return open, err
}

// serveRequests carries out the requests about shards that this process owns, until the group stops.
func (g *Group) serveRequests() {
	for sleep(g.ctx, g.config.rosterEvery(), nil) == nil {
		open, err := g.openRequests(g.ctx)
		if err != nil {
			continue // the next question follows soon; that the store is down is told elsewhere
		}
		for key, request := range open {
			w := g.localWorker(request.GetEvent().GetKind(), key.shard)
			if w != nil && g.begin(key) {
				g.wg.Go(func() { g.serve(w, request) })
			}
		}
	}
}

// begin reports whether a request is not being carried out yet.
func (g *Group) begin(key requestKey) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || g.serving[key] {
		return false
	}
	g.serving[key] = true
	return true
}

// serve carries out a request and then deletes it. Otherwise it stays, for whoever owns the shard next.
func (g *Group) serve(w *worker, request *egopb.DeadLetter) {
	key := keyOf(request)
	defer func() {
		g.mu.Lock()
		delete(g.serving, key)
		g.mu.Unlock()
	}()
	o := &order{
		action: action(request.GetReason()),
		ids:    []string{request.GetEvent().GetPersistenceId()},
		end:    request.GetEvent().GetSequenceNumber(),
		done:   make(chan error, 1),
		wanted: func() (bool, error) {
			open, err := g.openRequests(g.ctx)
			return open[key] != nil, err
		},
	}
	w.submit(o)
	err := <-o.done
	if err == nil {
		err = g.config.call(g.ctx, func(ctx context.Context) error {
			return g.config.Letters.DeleteDeadLetters(ctx, requestsName, key.shard, key.position)
		})
	}
	if err != nil && !isEnd(err) {
		g.config.Logger.LogAttrs(g.ctx, slog.LevelWarn, "dead letters were not settled as requested",
			slog.String("consumer", request.GetEvent().GetKind()), slog.Any("error", err))
	}
}
