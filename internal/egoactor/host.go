package egoactor

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/supervisor"

	"github.com/actorkeep/ego/internal/entity"
)

// ErrStopped reports a request to a host that is stopping.
var ErrStopped = errors.New("ego: the engine is stopping")

// Config is what a host needs.
type Config struct {
	System   goakt.ActorSystem
	Epoch    string // tells this run of the node from every other in actor names
	Logger   *slog.Logger
	MaxQueue int // requests that may wait for one entity

	// Build finds out what an entity is. It is called once per activation, on a goroutine of the host.
	Build func(ctx context.Context, id string) (Activation, error)

	// Passivated is told of every entity that was passivated, with its revision.
	Passivated func(id string, revision uint64)
}

// A Core is what handles the requests of an entity, one call at a time: an [entity.Entity], or something around one.
type Core interface {
	Process(ctx context.Context, requests *entity.Request) (wait time.Duration)
	Flush(ctx context.Context)
	Stopped() bool
	Revision() uint64
	Abort(err error)
}

// Activation is what it takes to bring an entity to life.
type Activation struct {
	Core           Core
	Kind           string
	PassivateAfter time.Duration // zero is never
}

const shardCount = 64

// A Host holds the live entities of a node. All methods are safe for concurrent use.
type Host struct {
	config Config
	ctx    context.Context //nolint:containedctx // the lifetime of the host, handed to everything that runs in it
	cancel context.CancelFunc
	seed   maphash.Seed
	shards [shardCount]shard
	names  atomic.Uint64
	born   time.Time

	mu       sync.Mutex // guards stopping against starts
	stopping atomic.Bool
	starts   sync.WaitGroup
	rest     chan struct{} // a token when an actor came to rest while the host is stopping
	sweeper  *sweeper
	lounge   lounge
}

type shard struct {
	mu    sync.RWMutex
	cells map[string]*Cell
}

// NewHost returns a host without entities. Stop ends it.
func NewHost(config Config) *Host {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Host{
		config: config,
		ctx:    ctx,
		cancel: cancel,
		seed:   maphash.MakeSeed(),
		born:   time.Now(),
		rest:   make(chan struct{}, 1),
	}
	for i := range h.shards {
		h.shards[i].cells = make(map[string]*Cell)
	}
	h.sweeper = newSweeper(h)
	h.lounge.open()
	return h
}

// Send queues a request for an entity, bringing it to life when it is not. It returns an error only when the request was
// not queued.
func (h *Host) Send(ctx context.Context, id string, r *entity.Request) error {
	for {
		cell := h.Cell(id)
		if cell == nil {
			var err error
			if cell, err = h.activate(id); err != nil {
				return err
			}
		}
		if accepted, err := cell.enqueue(r); accepted || err != nil {
			return err
		}
		select {
		case <-cell.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Cell returns the cell of an entity, nil when it is not live.
func (h *Host) Cell(id string) *Cell {
	s := h.shard(id)
	s.mu.RLock()
	cell := s.cells[id]
	s.mu.RUnlock()
	return cell
}

// Count returns how many entities are live.
func (h *Host) Count() int {
	n := 0
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		n += len(s.cells)
		s.mu.RUnlock()
	}
	return n
}

func (h *Host) shard(id string) *shard {
	return &h.shards[maphash.String(h.seed, id)%shardCount]
}

// activate returns the cell of an entity, starting it when nobody else has.
func (h *Host) activate(id string) (*Cell, error) {
	if !h.beginStart() {
		return nil, ErrStopped
	}
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if cell := s.cells[id]; cell != nil {
		h.starts.Done()
		return cell, nil
	}
	cell := &Cell{id: id, host: h, gone: make(chan struct{}), scheduled: true, restedAt: h.now()}
	s.cells[id] = cell
	go h.start(cell)
	return cell, nil
}

func (h *Host) beginStart() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping.Load() {
		return false
	}
	h.starts.Add(1)
	return true
}

// start spawns the actor of a cell and lets it look at what was queued meanwhile.
func (h *Host) start(cell *Cell) {
	defer h.starts.Done()
	if err := h.spawn(cell); err != nil {
		h.abandon(cell, err)
		return
	}
	cell.wake()
}

func (h *Host) spawn(cell *Cell) error {
	activation, err := h.config.Build(h.ctx, cell.id)
	if err != nil {
		return err
	}
	cell.core, cell.kind, cell.idle = activation.Core, activation.Kind, activation.PassivateAfter
	name := actorName(cell.id, h.config.Epoch, h.names.Add(1))
	cell.pid, err = h.config.System.Spawn(context.Background(), name, &entityActor{cell: cell},
		goakt.WithLongLived(), goakt.WithRelocationDisabled(), goakt.WithSupervisor(resume()))
	if err != nil {
		return fmt.Errorf("the actor of entity %q cannot be spawned: %w", cell.id, err)
	}
	cell.live.Store(true)
	h.sweeper.expect(cell.idle)
	return nil
}

// resume lets an actor go on whatever happens: what fails in it is answered and repaired by the cell.
func resume() *supervisor.Supervisor {
	return supervisor.NewSupervisor(supervisor.WithAnyErrorDirective(supervisor.ResumeDirective))
}

// abandon lets go of a cell whose actor cannot work and answers its queue with err.
func (h *Host) abandon(cell *Cell, err error) {
	requests := cell.forceClose()
	h.remove(cell)
	entity.FailAll(requests, err)
}

// remove lets go of a closed cell.
func (h *Host) remove(cell *Cell) {
	s := h.shard(cell.id)
	s.mu.Lock()
	if s.cells[cell.id] == cell {
		delete(s.cells, cell.id)
		close(cell.gone)
	}
	s.mu.Unlock()
	h.rested()
}

// now is the time since the host was made; it does not jump.
func (h *Host) now() time.Duration { return time.Since(h.born) }

// all returns the cells of the host.
func (h *Host) all() []*Cell {
	cells := make([]*Cell, 0, 64)
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		for _, cell := range s.cells {
			cells = append(cells, cell)
		}
		s.mu.RUnlock()
	}
	return cells
}
