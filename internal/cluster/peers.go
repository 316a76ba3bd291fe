package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/actorkeep/ego/egopb"
)

const (
	greetingTimeout = 2 * time.Second
	silentFor       = 6 * time.Second // how long a peer that is not heard of is waited for, whatever the list of peers says
	staleGreeting   = 5 * time.Second
	rememberedFor   = time.Hour   // how long a peer that is no longer listed is greeted
	replacedFor     = time.Minute // the same when another run has its address
	lostPeerEvery   = 5 * time.Second
)

// peer is what is known of a run of another node.
type peer struct {
	listed   time.Time // when it was last in the list of peers
	refused  bool      // nothing listened there when it was last greeted or sent something
	silence  time.Duration
	member   bool   // it was listed at the last look
	left     bool   // it said that it was leaving
	batch    uint64 // the highest batch that was handled
	greeting *egopb.ClusterGreeting
	greeted  time.Time // when its greeting came
	sending  bool      // a greeting is on its way to it
	sent     time.Time // when the last greeting to it was begun
}

// absent reports whether a peer is left out although it is listed. The list of GoAkt keeps a dead peer for 5 seconds at best,
// and for 25 where more than one has died or TLS makes it patient.
func (p *peer) absent() bool {
	return p.left || p.refused || p.silence >= silentFor
}

// members returns the live members among those listed, this node included, and forgets peers of long ago.
func (m *membership) members(now time.Time, listed []Member) []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	// What passed while this process was suspended is nobody's silence.
	passed := min(now.Sub(m.looked), 2*pollInterval)
	m.looked = now
	members := []Member{m.self}
	addresses := make(map[string]bool, len(listed))
	for _, member := range listed {
		if member.ID == m.self.ID {
			continue
		}
		p := m.peerLocked(member.ID)
		if !p.listed.IsZero() {
			p.silence += passed
		}
		p.listed, p.member = now, true
		addresses[member.Address()] = true
		if !p.absent() {
			members = append(members, member)
		}
	}
	m.forgetLocked(now, addresses)
	return members
}

// forgetLocked drops the peers that have been neither listed nor heard of for long.
func (m *membership) forgetLocked(now time.Time, addresses map[string]bool) {
	for id, p := range m.peers {
		remembered := rememberedFor
		if addresses[id.Address()] {
			remembered = replacedFor
		}
		if !p.sending && now.Sub(p.listed) > remembered && now.Sub(p.greeted) > remembered {
			delete(m.peers, id)
		}
	}
}

// prune closes the links to peers that are no longer members, and the connections to those that are no longer listed. One
// that is leaving still answers what it was asked.
func (m *membership) prune(now time.Time, v *View) {
	m.mu.Lock()
	var lost []*link
	var unlisted []ID
	for id, p := range m.peers {
		if p.member && p.listed != now {
			p.member = false
			unlisted = append(unlisted, id)
		}
	}
	for id, l := range m.links {
		if p := m.peerLocked(id); !v.Has(id) && (!p.left || p.listed != now) {
			lost = append(lost, l)
			delete(m.links, id)
		}
	}
	m.mu.Unlock()
	for _, l := range lost {
		l.close(false)
	}
	for _, id := range unlisted {
		m.session.Forget(id)
	}
}

// yields reports whether some peer sees another cluster, to which this node has to go over.
func (m *membership) yields(now time.Time, v *View) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	mine := make([]ID, len(v.Members))
	for i := range v.Members {
		mine[i] = v.Members[i].ID
	}
	for id, p := range m.peers {
		if p.greeting == nil || p.absent() || now.Sub(p.greeted) > staleGreeting {
			continue
		}
		theirs := make([]ID, len(p.greeting.GetMembers()))
		for i, node := range p.greeting.GetMembers() {
			theirs[i] = idOf(node)
		}
		if mustYield(m.self.ID, mine, id, theirs) {
			return true
		}
	}
	return false
}

// greet tells every known peer what this node sees. Each has at most one greeting on its way.
func (m *membership) greet(now time.Time, greeting *egopb.ClusterGreeting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for id, p := range m.peers {
		lost := p.listed != now
		if p.sending || p.left || lost && now.Sub(p.sent) < lostPeerEvery {
			continue
		}
		p.sending, p.sent = true, now
		m.work.do(func() { m.greetPeer(id, p, greeting) })
	}
}

func (m *membership) greetPeer(id ID, p *peer, greeting *egopb.ClusterGreeting) {
	ctx, cancel := context.WithTimeout(m.ctx, greetingTimeout)
	defer cancel()
	err := m.session.Send(ctx, id, &egopb.ClusterBatch{From: m.self.wire(), Greeting: greeting})
	m.mu.Lock()
	p.sending = false
	back := false
	if err == nil {
		back = p.refused || p.silence >= silentFor
		p.refused, p.silence = false, 0
	}
	m.mu.Unlock()
	switch {
	case errors.Is(err, ErrGone):
		m.gone(id)
	case back:
		m.node.look()
	}
}
