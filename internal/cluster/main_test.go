package cluster

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/egopb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is a network of nodes in memory. It keeps the contract of a [Runtime], membership included: nodes list those whose
// side of a cut they share.
type wire struct {
	mu       sync.Mutex
	sessions map[ID]*fakeSession
	apart    map[string]bool // hosts that are cut off from the others
	hidden   map[string]bool // hosts that are no longer listed, although they can be reached
	mute     map[string]bool // hosts that are listed, although nothing comes from them or reaches them
	ghosts   []Member        // runs that are listed, although they have ended

	forgotten map[ID]int    // by how many nodes, or how often
	lose      int           // acknowledgements to be lost: the batch arrives
	block     chan struct{} // holds every batch with requests back until it is closed
	batches   []*egopb.ClusterBatch
	joins     int
}

func newWire() *wire {
	return &wire{sessions: map[ID]*fakeSession{}, apart: map[string]bool{}, hidden: map[string]bool{}, mute: map[string]bool{}, forgotten: map[ID]int{}}
}

// runtime joins nodes at a host.
type fakeRuntime struct {
	wire *wire
	host string
	role string
}

func (r *fakeRuntime) Join(_ context.Context, epoch string, receive func(*egopb.ClusterBatch)) (Session, error) {
	s := &fakeSession{wire: r.wire, self: Member{ID: ID{Host: r.host, Port: 1, Epoch: epoch}, Roles: []string{r.role}}, receive: receive}
	r.wire.mu.Lock()
	defer r.wire.mu.Unlock()
	r.wire.joins++
	r.wire.sessions[s.self.ID] = s
	return s, nil
}

type fakeSession struct {
	wire    *wire
	self    Member
	receive func(*egopb.ClusterBatch)
	inbox   sync.Mutex // batches arrive one at a time
}

func (s *fakeSession) Self() Member { return s.self }

func (s *fakeSession) Peers(context.Context) ([]Member, error) {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	peers := slices.Clone(s.wire.ghosts)
	for id, other := range s.wire.sessions {
		if id != s.self.ID && s.wire.apart[id.Host] == s.wire.apart[s.self.Host] && !s.wire.hidden[id.Host] {
			peers = append(peers, other.self)
		}
	}
	return peers, nil
}

func (s *fakeSession) Send(ctx context.Context, to ID, batch *egopb.ClusterBatch) error {
	s.wire.mu.Lock()
	block, cut := s.wire.block, s.wire.apart[to.Host] != s.wire.apart[s.self.Host] || s.wire.mute[to.Host] || s.wire.mute[s.self.Host]
	other := s.wire.sessions[to]
	lost := batch.GetNumber() > 0 && s.wire.lose > 0
	if lost {
		s.wire.lose--
	}
	if batch.GetNumber() > 0 {
		s.wire.batches = append(s.wire.batches, batch)
	}
	s.wire.mu.Unlock()
	if cut {
		<-ctx.Done()
		return ctx.Err()
	}
	if other == nil {
		return ErrGone
	}
	if block != nil && len(batch.GetRequests()) > 0 {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	other.inbox.Lock()
	other.receive(batch)
	other.inbox.Unlock()
	if lost {
		return context.DeadlineExceeded
	}
	return nil
}

func (s *fakeSession) Forget(id ID) {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	s.wire.forgotten[id]++
}

func (s *fakeSession) Leave(context.Context) error {
	s.wire.kill(s.self.ID)
	return nil
}

// kill ends a run of a node without a word.
func (w *wire) kill(id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, id)
}

func (w *wire) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *wire) sent() []*egopb.ClusterBatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.batches)
}

// fakeNode is a node whose entities count what they are asked.
type fakeNode struct {
	*Node
	host string

	mu     sync.Mutex
	served []string
	moved  int
	serve  func(ctx context.Context, r *egopb.ClusterRequest) (*egopb.ClusterReply, error)
}

const testShards = 16

func joinNode(t *testing.T, w *wire, host string, quorum int, change ...func(*Config)) *fakeNode {
	t.Helper()
	n := &fakeNode{host: host}
	config := Config{
		Runtime: &fakeRuntime{wire: w, host: host}, Shards: testShards, Quorum: quorum, Grace: 3 * time.Second,
		Logger: slog.New(slog.DiscardHandler), Entities: func() int { return 7 },
		Moved: func(func(string) bool) {
			n.mu.Lock()
			n.moved++
			n.mu.Unlock()
		},
		Serve: func(ctx context.Context, r *egopb.ClusterRequest) (*egopb.ClusterReply, error) {
			n.mu.Lock()
			n.served = append(n.served, r.GetEntityId())
			serve := n.serve
			n.mu.Unlock()
			if serve != nil {
				return serve(ctx, r)
			}
			return &egopb.ClusterReply{Revision: 1}, nil
		},
	}
	for _, apply := range change {
		apply(&config)
	}
	var err error
	n.Node, err = Join(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = n.Stop(ctx)
	})
	return n
}

func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.served)
}

// ask makes a call that says where it was answered.
func (n *fakeNode) ask(ctx context.Context, id string, repeatable bool) (local bool, err error) {
	reply, err := n.Do(ctx, &Call{
		EntityID: id, Repeatable: repeatable,
		Local:   func(context.Context) error { return nil },
		Request: func() (*egopb.ClusterRequest, error) { return &egopb.ClusterRequest{EntityId: id}, nil },
	})
	return reply == nil, err
}

// owned returns an entity that, as n sees it, the node at a host owns.
func (n *fakeNode) owned(host string) string {
	for i := range 10_000 {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		if owner, err := n.current.Load().owner(id); err == nil && owner.Host == host {
			return id
		}
	}
	return ""
}
