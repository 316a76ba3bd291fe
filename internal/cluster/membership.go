package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// maxServing bounds a request whose caller sets no bound.
const maxServing = 10 * time.Minute

// A membership is what a node is between joining and leaving a cluster: its links and what it knows of its peers.
type membership struct {
	node   *Node
	ctx    context.Context //nolint:containedctx // the lifetime of the membership
	cancel context.CancelFunc
	work   tasks // requests being served, batches and greetings being sent
	counts counters
	ready  chan struct{} // closed once session and self are set

	session Session
	self    Member

	mu     sync.Mutex
	closed bool
	links  map[ID]*link
	peers  map[ID]*peer
	looked time.Time // when the members were last looked at
}

func newMembership(n *Node) *membership {
	m := &membership{node: n, ready: make(chan struct{}), links: make(map[ID]*link), peers: make(map[ID]*peer)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// joined makes the membership work.
func (m *membership) joined(session Session) {
	m.session, m.self = session, session.Self()
	close(m.ready)
}

// link returns the link to a peer, nil once the membership has ended. One that was closed is made anew: a run that was
// taken for ended may turn out to live, as one whose gateway does not listen yet.
func (m *membership) link(to ID) *link {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	l := m.links[to]
	if l == nil || l.ended() {
		l = &link{
			to: to, from: m.self.wire(), transmit: m.session.Send, gone: m.gone, ctx: m.ctx, work: &m.work, counters: &m.counts,
			pending: make(map[uint64]*call), done: make(chan struct{}),
		}
		m.links[to] = l
	}
	return l
}

// peer returns what is known of a peer. The lock is held.
func (m *membership) peerLocked(id ID) *peer {
	p := m.peers[id]
	if p == nil {
		p = new(peer)
		m.peers[id] = p
	}
	return p
}

// gone notes that the run of a peer has ended, and looks at the members at once. The peer is left out until a greeting
// arrives there: one is sent every second while it is listed.
func (m *membership) gone(id ID) {
	m.mu.Lock()
	p := m.peerLocked(id)
	fresh := !p.refused
	p.refused = true
	m.mu.Unlock()
	if fresh {
		m.node.look()
	}
}

// receive handles a batch of a peer.
func (m *membership) receive(batch *egopb.ClusterBatch) {
	select {
	case <-m.ready:
	case <-m.ctx.Done():
		return
	}
	from := idOf(batch.GetFrom())
	if !m.accept(from, batch) {
		return
	}
	l := m.link(from)
	if l == nil {
		return
	}
	for _, r := range batch.GetReplies() {
		l.answer(r)
	}
	for _, r := range batch.GetRequests() {
		m.work.do(func() { m.serve(l, r) })
	}
}

// accept takes notice of a greeting, and reports whether the rest of the batch is new.
func (m *membership) accept(from ID, batch *egopb.ClusterBatch) bool {
	m.mu.Lock()
	p := m.peerLocked(from)
	p.silence = 0
	leaves := false
	if g := batch.GetGreeting(); g != nil && !m.closed {
		leaves = g.GetLeaving() && !p.left
		p.greeting, p.greeted, p.left = g, time.Now(), p.left || g.GetLeaving()
	}
	isNew := !m.closed && batch.GetNumber() > p.batch
	if isNew {
		p.batch = batch.GetNumber()
	}
	m.mu.Unlock()
	if leaves {
		m.node.look()
	}
	return isNew
}

// serve answers a request of a peer.
func (m *membership) serve(l *link, request *egopb.ClusterRequest) {
	timeout := time.Duration(request.GetTimeoutNanos())
	if timeout <= 0 || timeout > maxServing {
		timeout = maxServing
	}
	ctx, cancel := context.WithTimeout(m.ctx, timeout)
	defer cancel()
	reply := m.node.serve(ctx, request)
	reply.Id = request.GetId()
	l.reply(reply)
}

// unanswered counts the calls to other nodes that wait for an outcome.
func (m *membership) unanswered() int {
	m.mu.Lock()
	links := slices.Collect(maps.Values(m.links))
	m.mu.Unlock()
	n := 0
	for _, l := range links {
		n += l.unanswered()
	}
	return n
}

// end closes all links and ends the session. Calls that are under way fail.
func (m *membership) end(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	links := m.links
	m.links = nil
	m.mu.Unlock()
	for _, l := range links {
		l.close(false)
	}
	m.cancel()
	return errors.Join(m.work.wait(ctx), m.session.Leave(ctx))
}
