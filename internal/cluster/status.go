package cluster

import "time"

// Status is how a node stands.
type Status struct {
	State   State
	Self    ID
	View    *View // nil while the node joins
	Live    int
	Quorum  int
	Problem error // why the node cannot join, or cannot see its peers
	Peers   []PeerStatus
}

// PeerStatus is what a node has heard from another.
type PeerStatus struct {
	ID       ID
	Entities uint64
	Serving  bool
	Heard    time.Time
}

// Status returns how the node stands.
func (n *Node) Status() Status {
	p := n.current.Load()
	s := Status{State: p.state, View: p.view, Live: p.live, Quorum: p.quorum}
	n.mu.Lock()
	s.Problem = n.problem
	n.mu.Unlock()
	m := n.membership.Load()
	if m == nil {
		return s
	}
	s.Self = m.self.ID
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, peer := range m.peers {
		if peer.greeting != nil {
			s.Peers = append(s.Peers, PeerStatus{
				ID: id, Entities: peer.greeting.GetEntities(), Serving: peer.greeting.GetServing(), Heard: peer.greeted,
			})
		}
	}
	return s
}

// Owns reports whether this node owns an entity.
func (n *Node) Owns(entityID string) bool { return n.current.Load().owns(entityID) }

// Session returns the session of the membership, nil while the node joins anew.
func (n *Node) Session() Session {
	if m := n.membership.Load(); m != nil {
		return m.session
	}
	return nil
}
