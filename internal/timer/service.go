package timer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// The defaults of [Config].
const (
	DefaultBatch       = 256
	DefaultParallelism = 64
	DefaultClaim       = 12 * time.Second
	DefaultPoll        = time.Second
	DefaultBusy        = 20 * time.Millisecond
	DefaultCallTimeout = 5 * time.Second
)

const lastBackoff = 30 * time.Second

// A Handler fires a timer. It must return before its context ends, which is before the claim does. After an error the timer
// fires again, in this process or another, once the claim has run out, unless the error matches [ErrAbandoned].
type Handler func(ctx context.Context, timer *egopb.Timer) error

// Config says how timers are fired. What is zero has its default.
type Config struct {
	Store       persistence.TimerStore
	Handlers    map[string]Handler // by kind; a timer of another kind is left to other processes
	Batch       int                // timers that are claimed at once
	Parallelism int                // handlers that run at once
	Claim       time.Duration      // for how long
	Poll        time.Duration      // the longest sleep
	Busy        time.Duration      // the sleep while a due timer is claimed already
	CallTimeout time.Duration      // of a call to the store
	Logger      *slog.Logger
	Now         func() time.Time

	// Fired is told of each call of a handler, how late it was and how it ended. It may be nil.
	Fired func(timer *egopb.Timer, late time.Duration, err error)
}

func (c Config) withDefaults() Config {
	setDefault(&c.Batch, DefaultBatch)
	setDefault(&c.Parallelism, DefaultParallelism)
	setDefault(&c.Claim, DefaultClaim)
	setDefault(&c.Poll, DefaultPoll)
	setDefault(&c.Busy, DefaultBusy)
	setDefault(&c.CallTimeout, DefaultCallTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// ErrAbandoned is matched by the error of a handler that did not succeed and will not. Its timer is removed as if it had
// fired; that it was in vain is for the handler to tell.
var ErrAbandoned = errors.New("timer: given up")

// ErrStopped reports a call to a service that has stopped.
var ErrStopped = persistence.DefinitelyNotWritten(errors.New("timer: stopped"))

// A Service sets and fires timers. All methods are safe for concurrent use. Stop ends it.
type Service struct {
	config Config
	ctx    context.Context //nolint:containedctx // the lifetime of the loop and the handlers
	cancel context.CancelFunc
	firing sync.WaitGroup // loop, handlers and completer
	wg     sync.WaitGroup // gatherer and sweeper
	wake   chan struct{}
	slots  chan struct{} // one for each handler that may run

	gatherer  gatherer
	sweeper   sweeper
	completer completer

	mu      sync.Mutex
	planned time.Time // when the loop wakes by itself
	failing error     // of the newest call to the store
	left    []*egopb.Timer
}

// New returns a service that sets timers and fires none yet. It panics without a store.
func New(config Config) *Service {
	if config.Store == nil {
		panic("timer: no store")
	}
	s := &Service{config: config.withDefaults(), wake: make(chan struct{}, 1)}
	s.slots = make(chan struct{}, s.config.Parallelism)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.gatherer.service = s
	s.sweeper.service = s
	s.completer.service = s
	s.completer.batches, _ = config.Store.(persistence.TimerBatchStore)
	return s
}

// Start begins to fire timers. It is called once.
func (s *Service) Start() { s.firing.Go(s.run) }

// Halt ends the firing: handlers are canceled, and the claims on what they leave undone are given back, so that another
// process fires it. Timers can be set still. It returns when all handlers have ended, or with the error of the context.
func (s *Service) Halt(ctx context.Context) error {
	s.cancel()
	if err := wait(ctx, &s.firing); err != nil {
		return err
	}
	s.release()
	return nil
}

// Stop ends the service, see [Service.Halt]. It returns when all has ended, or with the error of the context.
func (s *Service) Stop(ctx context.Context) error {
	s.gatherer.stop()
	s.sweeper.stop()
	return errors.Join(s.Halt(ctx), wait(ctx, &s.wg))
}

func wait(ctx context.Context, group *sync.WaitGroup) error {
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Health returns why timers do not fire, nil when they do.
func (s *Service) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failing
}

// run fires timers until the service stops.
func (s *Service) run() {
	var failures int
	for s.ctx.Err() == nil {
		wait, err := s.round()
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			failures++
			wait = min(s.config.Poll<<min(failures-1, 10), lastBackoff)
			s.config.Logger.Warn("timers cannot be read", "error", err)
		} else {
			failures = 0
		}
		s.mu.Lock()
		s.failing = err
		s.planned = s.config.Now().Add(wait)
		s.mu.Unlock()
		s.sleep(wait)
	}
}

func (s *Service) sleep(wait time.Duration) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wake:
	case <-s.ctx.Done():
	}
}

// expect wakes the loop when it sleeps for longer than until a timer is due.
func (s *Service) expect(due time.Time) {
	s.mu.Lock()
	early := due.Before(s.planned)
	s.mu.Unlock()
	if early {
		s.rouse()
	}
}

// rouse wakes the loop.
func (s *Service) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// round claims a batch and fires it. It returns for how long there is nothing to do.
func (s *Service) round() (time.Duration, error) {
	var due []*egopb.Timer
	err := s.call(func(ctx context.Context) (err error) {
		due, err = s.config.Store.ClaimTimers(ctx, s.config.Now(), s.config.Claim, s.config.Batch)
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, t := range due {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			s.leave(due[i:]...)
			return 0, nil
		}
		s.firing.Go(func() {
			defer func() { <-s.slots }()
			s.fire(t)
		})
	}
	if len(due) == s.config.Batch {
		return 0, nil
	}
	return s.untilNext()
}

// untilNext returns for how long to sleep.
func (s *Service) untilNext() (time.Duration, error) {
	var (
		next  time.Time
		known bool
	)
	err := s.call(func(ctx context.Context) (err error) {
		next, known, err = s.config.Store.NextTimer(ctx)
		return err
	})
	if err != nil || !known {
		return s.config.Poll, err
	}
	return max(min(next.Sub(s.config.Now()), s.config.Poll), min(s.config.Busy, s.config.Poll)), nil
}

// call bounds a call to the store by the lifetime of the loop.
func (s *Service) call(to func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.config.CallTimeout)
	defer cancel()
	return to(ctx)
}

// write bounds a call to the store that ends by itself.
func (s *Service) write(to func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.CallTimeout)
	defer cancel()
	return to(ctx)
}
