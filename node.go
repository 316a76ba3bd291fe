package ego

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"

	"github.com/actorkeep/ego/internal/egoactor"
	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/erasure"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/internal/snapshot"
	"github.com/actorkeep/ego/internal/telemetry"
	"github.com/actorkeep/ego/offsetstore"
	"github.com/actorkeep/ego/persistence"
)

// node is what an engine is between Start and Stop.
type node struct {
	config  *config
	events  persistence.EventsStore // nil: durable state only
	states  persistence.StateStore  // nil: events only
	codec   *envelope.Codec
	system  goakt.ActorSystem
	journal *journal.Journal
	writer  *snapshot.Writer // nil: no snapshots
	host    *egoactor.Host
	shared  *entity.Shared
	record  *telemetry.Recorder // nil: nothing
	observe func() error        // ends the gauges
	kinds   *kinds
	spawned spawned
	eraser  *erasure.Eraser

	unerased atomic.Pointer[error] // why erasures are left pending; nil when none are

	letters   offsetstore.DeadLetterStore // nil: no event can be parked
	timers    persistence.TimerStore      // nil: no sagas
	sagas     *sagas                      // nil: no timer store
	consumers *consumers                  // nil: no offset store
	cluster   *clustered                  // nil: no cluster

	requests entity.Requests
}

func newNode(ctx context.Context, e *Engine) (*node, error) {
	record, err := e.config.recorder()
	if err != nil {
		return nil, err
	}
	system, err := startSystem(e.name, e.config.logger)
	if err != nil {
		return nil, err
	}
	stores := e.stores()
	n := &node{
		config: &e.config,
		events: stores.events,
		states: stores.states,
		codec:  envelope.New(e.config.sealing()),
		system: system,
		record: record,
		kinds:  newKinds(e.config.kinds),

		letters: stores.letters,
		timers:  stores.timers,
	}
	epoch := strconv.FormatInt(time.Now().UnixNano(), 36)
	n.shared = n.newShared(stores, writerID(e.name, epoch))
	n.consumers = newConsumers(&e.config, stores, n.shared.WriterID, n.codec, record)
	n.shared.States = n.consumers.wakeOnWrites(record.States(stores.states))
	if stores.events != nil {
		n.journal = journal.New(n.journalConfig(stores.events))
		n.shared.Journal = n.journal
	}
	if stores.events != nil && stores.snapshots != nil {
		n.writer = n.newWriter(stores)
		n.shared.Snapshots = n.writer
	}
	n.host = n.newHost(epoch)
	n.eraser = n.newEraser(stores)
	e.config.warnUnwrapped(ctx)
	if err := n.join(ctx, e.name); err != nil {
		return nil, errors.Join(err, n.stop(context.WithoutCancel(ctx)))
	}
	if err := n.runSagas(ctx, stores); err != nil {
		return nil, errors.Join(err, n.stop(context.WithoutCancel(ctx)))
	}
	if n.observe, err = record.Observe(n.gauges()); err != nil {
		return nil, errors.Join(err, n.stop(context.WithoutCancel(ctx)))
	}
	e.config.logger.LogAttrs(ctx, slog.LevelInfo, "engine started", slog.String("engine", e.name), slog.String("writer", n.shared.WriterID))
	return n, nil
}

// newShared returns what the entities have in common, but for what wakes consumers and writes events.
func (n *node) newShared(s stores, writer string) *entity.Shared {
	return &entity.Shared{
		Events:          s.events,
		SnapshotStore:   s.snapshots,
		States:          s.states,
		Codec:           n.codec,
		WriterID:        writer,
		Logger:          n.config.logger,
		Telemetry:       n.record,
		Now:             time.Now,
		Verify:          n.config.cluster != nil && !n.config.cluster.UncheckedAnswers,
		MemoryTime:      n.config.memoryTime,
		WriteTimeout:    n.config.writeTimeout,
		RecoveryTimeout: n.config.recoveryTimeout,
		StartAnew:       n.config.erasure.StartAnew,
		Finished:        n.finished(n.erasures(s)),
	}
}

// newHost returns what the entities of the node live in.
func (n *node) newHost(epoch string) *egoactor.Host {
	return egoactor.NewHost(egoactor.Config{
		System:     n.system,
		Epoch:      epoch,
		Logger:     n.config.logger,
		MaxQueue:   n.config.mailboxSize,
		Build:      n.activation,
		Passivated: n.passivated,
	})
}

// newWriter returns what writes the snapshots of the node.
func (n *node) newWriter(stores stores) *snapshot.Writer {
	return snapshot.NewWriter(snapshot.Config{
		Snapshots: stores.snapshots,
		Events:    stores.events,
		Timeout:   n.config.writeTimeout,
		Erasure:   envelope.IsErasure,
		Unread:    n.consumers.unread,
		Logger:    n.config.logger,
		Telemetry: n.record,
	})
}

// startSystem starts the actor system. GoAkt keeps the context it is started with and may panic while it starts.
func startSystem(name string, logger *slog.Logger) (system goakt.ActorSystem, err error) {
	defer func() {
		if value := recover(); value != nil {
			system, err = nil, fmt.Errorf("ego: the actor system panicked while starting: %v", value)
		}
	}()
	system, err = goakt.NewActorSystem(name, goakt.WithLogger(egoactor.Logger(logger)))
	if err != nil {
		return nil, fmt.Errorf("ego: the actor system cannot be made: %w", err)
	}
	if err = system.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("ego: the actor system cannot be started: %w", err)
	}
	return system, nil
}

// writerID names this run of the engine in what it writes.
func writerID(name, epoch string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host + "/" + strconv.Itoa(os.Getpid()) + "/" + epoch
}

// stop ends consumers, and then everything in the order of the way of a command: no new ones, those under way, their answers to
// other nodes, their writes, what is written beside them, their actors.
func (n *node) stop(ctx context.Context) error {
	var problems []error
	if n.observe != nil {
		problems = append(problems, n.observe())
	}
	problems = append(problems, n.consumers.stop(ctx), n.sagas.halt(ctx))
	if n.cluster != nil {
		n.cluster.node.Retire(ctx)
	}
	problems = append(problems, n.host.Stop(ctx))
	if n.cluster != nil {
		problems = append(problems, n.cluster.node.Stop(ctx))
	}
	problems = append(problems, n.sagas.stop(ctx))
	if n.journal != nil {
		problems = append(problems, n.journal.Stop(ctx))
	}
	if n.writer != nil {
		problems = append(problems, n.writer.Stop(ctx))
	}
	problems = append(problems, n.stopSystem())
	err := errors.Join(problems...)
	if err == nil {
		n.config.logger.LogAttrs(ctx, slog.LevelInfo, "engine stopped", slog.String("writer", n.shared.WriterID))
	}
	return err
}

// health returns what is wrong with the parts of the node, nil when nothing is.
func (n *node) health() error {
	var problems []error
	if n.cluster != nil {
		problems = append(problems, n.cluster.health())
	}
	if n.journal != nil {
		if err := n.journal.Status().Err(); err != nil {
			problems = append(problems, fmt.Errorf("ego: the journal cannot write: %w", err))
		}
	}
	if n.writer != nil {
		if status := n.writer.Status(); status.Err != nil {
			problems = append(problems, fmt.Errorf("ego: %d snapshots or retentions are failing: %w", status.Failing, status.Err))
		}
	}
	if err := n.sagas.health(); err != nil {
		problems = append(problems, fmt.Errorf("ego: timers do not fire: %w", err))
	}
	return errors.Join(append(problems, n.consumers.health())...)
}

// stopSystem stops the actors. Nothing of ours is left in them, so they get time of their own. GoAkt may panic over actors
// that the program has added.
func (n *node) stopSystem() (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("ego: the actor system panicked while stopping: %v", value)
		}
	}()
	if err = n.system.Stop(context.Background()); err != nil {
		return fmt.Errorf("ego: the actor system cannot be stopped: %w", err)
	}
	return nil
}

// spawned remembers the behaviours that Entity was given and that no kind could build anew.
type spawned struct {
	mu   sync.RWMutex
	byID map[string]*spawn
}

// spawn is what Entity was told about an entity.
type spawn struct {
	kind     string
	behavior behavior
	config   spawnConfig
	rebuilt  bool        // a registered kind builds the same
	saga     *sagaConfig // not nil: a saga
}

func (s *spawned) get(id string) *spawn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id]
}

// add remembers an entity, unless it is remembered already.
func (s *spawned) add(id string, entry *spawn) (added bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[string]*spawn)
	}
	if s.byID[id] != nil {
		return false
	}
	s.byID[id] = entry
	return true
}

func (s *spawned) remove(id string) {
	s.mu.Lock()
	delete(s.byID, id)
	s.mu.Unlock()
}

// forget forgets the entities that match and that a kind can build anew.
func (s *spawned) forget(matches func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, entry := range s.byID {
		if entry.rebuilt && matches(id) {
			delete(s.byID, id)
		}
	}
}

// passivated forgets an entity that a kind can bring back: its events say which.
func (s *spawned) passivated(id string, revision uint64) {
	if entry := s.get(id); entry != nil && entry.rebuilt && revision > 0 {
		s.remove(id)
	}
}
