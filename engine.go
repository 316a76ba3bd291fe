package ego

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"

	goakt "github.com/tochemey/goakt/v3/actor"

	"github.com/actorkeep/ego/persistence"
)

// An Engine runs the entities of a service. All methods are safe for concurrent use.
type Engine struct {
	name   string
	events persistence.EventsStore
	config config

	lifecycle    sync.Mutex // held by Start and Stop, and while publishers come and go
	node         atomic.Pointer[node]
	publications publications
}

// NewEngine returns an engine that is not started. Its name is a letter or digit followed by letters, digits, '-' and '_';
// the nodes of a cluster share it. The events store must be connected before Start and stays the caller's to disconnect; it
// is nil for an engine that only has durable-state entities.
// What is wrong with the arguments is reported by Start.
func NewEngine(name string, eventsStore persistence.EventsStore, opts ...Option) *Engine {
	return &Engine{name: name, events: eventsStore, config: newConfig(opts)}
}

var engineName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$`)

// Start makes the engine ready for commands. It validates the whole configuration and asks the stores whether they
// answer, and reports all problems joined in one error; nothing runs after an error. It connects no store. It finishes the
// erasures that were cut off; those that it cannot finish are reported by Health and left to the next Start. Starting a
// started engine does nothing. An engine that was stopped can be started again. The context bounds Start only.
func (e *Engine) Start(ctx context.Context) error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	if e.node.Load() != nil {
		return nil
	}
	if err := e.validate(ctx); err != nil {
		return err
	}
	n, err := newNode(ctx, e)
	if err != nil {
		return err
	}
	if err := n.publishAll(ctx, e.publications.all()); err != nil {
		return errors.Join(err, n.stop(context.WithoutCancel(ctx)))
	}
	e.node.Store(n)
	n.resumeErasures(ctx)
	return nil
}

// validate returns all that keeps the engine from starting.
func (e *Engine) validate(ctx context.Context) error {
	var problems []error
	if !engineName.MatchString(e.name) {
		problems = append(problems, fmt.Errorf("ego: engine name %q is not a letter or digit followed by letters, digits, '-' and '_'", e.name))
	}
	if err := e.config.validate(); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, e.checkStores(ctx), e.config.checkStoresOfKinds(e.stores()),
		e.config.checkStoresOfProjections(e.stores()), e.config.checkEncryption(ctx))
	for _, p := range e.publications.all() {
		if err := p.checkStores(e.stores()); err != nil {
			problems = append(problems, publisherError(p.id, err))
		}
	}
	if e.config.cluster != nil {
		problems = append(problems, e.config.cluster.validate(e.config.kinds))
	}
	return errors.Join(problems...)
}

// Stop refuses new commands, waits until those already accepted are answered, and ends everything that the engine runs.
// When the context ends first, what is left fails and Stop returns the error of the context. Nothing acknowledged is lost
// either way. Then it closes the publishers that were added. It disconnects no store, and nothing else happens when the
// engine is not started.
func (e *Engine) Stop(ctx context.Context) error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	var stopped error
	if n := e.node.Swap(nil); n != nil {
		stopped = n.stop(ctx)
	}
	return errors.Join(stopped, e.publications.closeAll(ctx))
}

// Started reports whether the engine takes commands.
func (e *Engine) Started() bool { return e.node.Load() != nil }

// ActorSystem returns the GoAkt actor system that the entities run on, nil when the engine is not started. Programs may
// run actors of their own on it; they must not stop it or its entities. In a cluster it is the system that is a member: it
// is nil while the node joins anew, and another one afterwards.
func (e *Engine) ActorSystem() goakt.ActorSystem {
	n := e.node.Load()
	switch {
	case n == nil:
		return nil
	case n.cluster != nil:
		return n.cluster.system()
	}
	return n.system
}

// Health returns nil when the engine is started, its stores answer and it can write to them; else it says all that is
// wrong.
func (e *Engine) Health(ctx context.Context) error {
	n := e.node.Load()
	if n == nil {
		return ErrEngineNotStarted
	}
	return errors.Join(e.checkStores(ctx), n.health(), n.unfinished(ctx))
}

// running returns the running node.
func (e *Engine) running() (*node, error) {
	if n := e.node.Load(); n != nil {
		return n, nil
	}
	return nil, ErrEngineNotStarted
}
