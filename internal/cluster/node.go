package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// The times of a node. GoAkt itself takes 5 to 7 seconds to give up a member that does not answer.
const (
	pollInterval  = time.Second
	pollTimeout   = 2 * time.Second
	splitPatience = 5 * time.Second
	rejoinAfter   = 5 * time.Second // and up to as much again, so that nodes do not do it in step
	leaveTimeout  = 10 * time.Second
	joinTimeout   = 30 * time.Second
	settleTime    = 10 * time.Second // after a change, entities that came to life meanwhile are looked for
)

// Config is what a node needs.
type Config struct {
	Runtime Runtime
	Shards  uint32
	Role    string        // that members need to own entities; empty: none
	Quorum  int           // live members that a node must see to serve, itself included
	Grace   time.Duration // how long a serving node may go without a quorum
	Logger  *slog.Logger

	// Serve answers a request for an entity that this node owns. With an error that matches [ErrAgain], it had no effect
	// and may succeed soon; the reply is for a caller who cannot wait. A reply that says moved has had no effect.
	Serve func(ctx context.Context, request *egopb.ClusterRequest) (*egopb.ClusterReply, error)

	// Moved is told to let go of every entity that this node does not own, once it has done what it was asked. It
	// returns at once and may be called at any time.
	Moved func(owned func(entityID string) bool)

	// Retried is told why a call looks for the node of its entity again. It may be nil.
	Retried func(reason string)

	// Asked is told of a request that goes to another node, and may change it. The function that it returns is told what
	// became of it. Asked may be nil.
	Asked func(ctx context.Context, address string, request *egopb.ClusterRequest) func(*egopb.ClusterReply, error)

	// Entities counts the live entities.
	Entities func() int

	// StayFenced keeps a node that lost its quorum from joining anew.
	StayFenced bool
}

// A Node is one node of a cluster. All methods are safe for concurrent use.
type Node struct {
	config  Config
	current atomic.Pointer[placement]
	looks   chan struct{} // a token when the members are to be looked at now
	stop    context.CancelFunc
	ctx     context.Context //nolint:containedctx // the lifetime of the node
	watch   sync.WaitGroup

	membership atomic.Pointer[membership] // nil while the node joins anew

	mu      sync.Mutex
	leaving bool
	problem error // why the node cannot join, or cannot see its peers

	// Used by the watching goroutine only.
	fence  fence
	splits splits
	moved  time.Time // when the placement last changed
	listed time.Time // when the peers were last listed
}

// Join returns a node that has become a member. It may have to wait for a quorum before it serves.
func Join(ctx context.Context, config Config) (*Node, error) {
	n := &Node{
		config: config,
		looks:  make(chan struct{}, 1),
		fence:  fence{quorum: config.Quorum, grace: config.Grace},
		splits: splits{patience: splitPatience},
	}
	n.current.Store(&placement{state: Joining, quorum: config.Quorum, changed: make(chan struct{})})
	n.ctx, n.stop = context.WithCancel(context.Background())
	if err := n.join(ctx); err != nil {
		n.stop()
		return nil, err
	}
	n.tick(time.Now())
	n.watch.Go(n.run)
	return n, nil
}

func (n *Node) join(ctx context.Context) error {
	m := newMembership(n)
	session, err := n.config.Runtime.Join(ctx, strconv.FormatInt(time.Now().UnixNano(), 36), m.receive)
	if err != nil {
		m.cancel()
		return err
	}
	m.joined(session)
	n.membership.Store(m)
	now := time.Now()
	n.fence.rejoin = rejoinAfter + rand.N(rejoinAfter)
	n.fence.joined(now)
	n.splits.since, n.listed = time.Time{}, now
	return nil
}

// look makes the node look at its members soon.
func (n *Node) look() {
	select {
	case n.looks <- struct{}{}:
	default:
	}
}

func (n *Node) run() {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.looks:
		case <-ticker.C:
		}
		if n.tick(time.Now()) {
			n.joinAnew()
		}
	}
}

// tick looks at the members and acts on what it sees. It is true when the node has to join anew.
func (n *Node) tick(now time.Time) (rejoin bool) {
	m := n.membership.Load()
	listed, err := n.peers(m)
	if err != nil && now.Sub(n.listed) < n.config.Grace+pollTimeout {
		return false // what was seen last still counts
	}
	n.note(err)
	if err == nil {
		n.listed = now
	}
	members := m.members(now, listed)
	v := newView(m.self.ID, members, n.config.Shards, n.config.Role)
	if n.isLeaving() {
		n.fence.enter(Leaving, now)
		v = newView(m.self.ID, without(members, m.self.ID), n.config.Shards, n.config.Role)
	}
	rejoin = n.fence.observe(now, len(members))
	if n.splits.observe(now, m.yields(now, v)) {
		n.config.Logger.Warn("the cluster was split, and this part joins the other")
		n.fence.enter(Fenced, now)
		rejoin = true
	}
	n.publish(now, v, len(members))
	m.prune(now, v)
	m.greet(now, n.greeting(v))
	return rejoin && !n.config.StayFenced
}

func (n *Node) peers(m *membership) ([]Member, error) {
	ctx, cancel := context.WithTimeout(n.ctx, pollTimeout)
	defer cancel()
	listed, err := m.session.Peers(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster: the peers cannot be listed: %w", err)
	}
	return listed, nil
}

func without(members []Member, id ID) []Member {
	rest := make([]Member, 0, len(members))
	for _, member := range members {
		if member.ID != id {
			rest = append(rest, member)
		}
	}
	return rest
}

// publish makes a placement known, lets go of what moved away, and keeps looking for it while callers may still act on the
// placement before.
func (n *Node) publish(now time.Time, v *View, live int) {
	old := n.current.Load()
	if old.view == nil || old.state != n.fence.state || old.live != live || !old.view.equal(v) {
		n.current.Store(&placement{
			view: v, state: n.fence.state, live: live, quorum: n.config.Quorum, changed: make(chan struct{}),
		})
		close(old.changed)
		n.moved = now
		n.config.Logger.Info("the cluster changed", "state", n.fence.state.String(), "live", live, "node", v.Self.String())
	}
	if now.Sub(n.moved) < settleTime {
		n.config.Moved(n.current.Load().owns)
	}
}

func (n *Node) greeting(v *View) *egopb.ClusterGreeting {
	g := &egopb.ClusterGreeting{
		Leaving:  n.fence.state == Leaving,
		Serving:  n.fence.state == Serving,
		Entities: uint64(max(n.config.Entities(), 0)),
	}
	for i := range v.Members {
		g.Members = append(g.Members, v.Members[i].wire())
	}
	return g
}

// joinAnew leaves the cluster and joins until it has succeeded or the node stops.
func (n *Node) joinAnew() {
	n.config.Logger.Warn("the node leaves the cluster to join anew", "state", n.fence.state.String())
	n.withdraw()
	for backoff := pollInterval; ; backoff = min(2*backoff, 10*time.Second) {
		ctx, cancel := context.WithTimeout(n.ctx, joinTimeout)
		err := n.join(ctx)
		cancel()
		n.note(err)
		if err == nil {
			n.look()
			return
		}
		select {
		case <-time.After(backoff):
		case <-n.ctx.Done():
			return
		}
	}
}

// withdraw ends the membership.
func (n *Node) withdraw() {
	old := n.current.Load()
	n.current.Store(&placement{state: Fenced, quorum: n.config.Quorum, changed: make(chan struct{})})
	close(old.changed)
	n.moved = time.Now()
	n.config.Moved(func(string) bool { return false })
	m := n.membership.Swap(nil)
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := m.end(ctx); err != nil {
		n.config.Logger.Warn("the node could not leave the cluster cleanly", "error", err)
	}
}

func (n *Node) note(err error) {
	n.mu.Lock()
	n.problem = err
	n.mu.Unlock()
}

func (n *Node) isLeaving() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaving
}
