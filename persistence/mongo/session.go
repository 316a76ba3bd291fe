package mongo

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/actorkeep/ego/persistence/internal/lifecycle"
)

// A session is what lives between Connect and Disconnect.
type session struct {
	lifecycle.Calls
	*config
	features features
	journal  *journal
	ended    chan struct{} // closed by Disconnect, ends what waits

	deletions, states, snapshots, timers, claims, batches, consumers, letters, keyrings *driver.Collection

	registers                                *registerCache
	stateWrites, consumerWrites, timerClaims sweeper
}

// open checks the database and finds the end of the log.
func (s *Store) open(ctx context.Context) (*session, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if err := s.checkLayout(ctx); err != nil {
		return nil, err
	}
	c := &session{
		config:    &s.config,
		ended:     make(chan struct{}),
		deletions: s.collection(deletionCollection),
		states:    s.collection(stateCollection),
		snapshots: s.collection(snapshotCollection),
		timers:    s.collection(timerCollection),
		claims:    s.collection(claimCollection),
		batches:   s.collection(batchCollection),
		consumers: s.collection(consumerCollection),
		letters:   s.collection(letterCollection),
		keyrings:  s.collection(keyringCollection),
		registers: newRegisterCache(),
	}
	var err error
	if c.features, err = s.detect(ctx); err != nil {
		return nil, err
	}
	c.journal, err = openJournal(ctx, &s.config)
	return c, err
}

// end ends what waits.
func (c *session) end() { close(c.ended) }

func (c *session) close() error { return nil }

// features are what a deployment can do beyond what the store needs.
type features struct {
	replicated bool // replica set or sharded cluster: transactions and change streams
}

// A greeting is the answer to hello.
type greeting struct {
	SetName   string    `bson:"setName"`
	Primary   bool      `bson:"isWritablePrimary"`
	Msg       string    `bson:"msg"`
	LocalTime time.Time `bson:"localTime"`
}

func (c *config) hello(ctx context.Context) (greeting, error) {
	var g greeting
	err := c.db().RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&g)
	return g, err
}

func (c *config) detect(ctx context.Context) (features, error) {
	g, err := c.hello(ctx)
	if err == nil && !g.Primary { // a direct connection to one that is not
		err = &Error{Op: "use", Database: c.database, Reason: ErrUnavailable, Err: errors.New("the server is not the primary")}
	}
	return features{replicated: g.SetName != "" || g.Msg == "isdbgrid"}, err
}

// clock returns the time of the server, which has milliseconds.
func (c *config) clock(ctx context.Context) (time.Time, error) {
	g, err := c.hello(ctx)
	return g.LocalTime, err
}

// A sweeper says when it is time to sweep up what superseded records have left.
type sweeper struct {
	mu     sync.Mutex
	writes int
	last   time.Time
}

// due reports, for one write in many, that the caller is to sweep.
func (w *sweeper) due(every int, gap time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writes++; w.writes < every || time.Since(w.last) < gap {
		return false
	}
	w.writes, w.last = 0, time.Now()
	return true
}
