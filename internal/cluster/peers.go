package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/actorkeep/ego/egopb"
)

const (
	greetingTimeout = 2 * time.Second
	downFor         = 10 * time.Second // how long a run that was found ended is left out, whatever the list of peers says
	downAgainAfter  = 30 * time.Second // when the list has the last word, it has it for a while
	staleGreeting   = 5 * time.Second
	rememberedFor   = time.Hour // how long a peer that is no longer listed is greeted
	lostPeerEvery   = 5 * time.Second
)

// peer is what is known of a run of another node.
type peer struct {
	listed   time.Time // when it was last in the list of peers
	down     time.Time // when it was found to have ended; zero when it was not
	left     bool      // it said that it was leaving
	batch    uint64    // the highest batch that was handled
	greeting *egopb.ClusterGreeting
	greeted  time.Time // when its greeting came
	sending  bool      // a greeting is on its way to it
	sent     time.Time // when the last greeting to it was begun
}

// absent reports whether a peer is left out although it is listed.
func (p *peer) absent(now time.Time) bool {
	return p.left || !p.down.IsZero() && now.Sub(p.down) < downFor
}

// members returns the live members among those listed, this node included, and forgets peers of long ago.
func (m *membership) members(now time.Time, listed []Member) []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	members := []Member{m.self}
	for _, member := range listed {
		if member.ID == m.self.ID {
			continue
		}
		p := m.peerLocked(member.ID)
		p.listed = now
		if !p.absent(now) {
			members = append(members, member)
		}
	}
	for id, p := range m.peers {
		if now.Sub(p.listed) > rememberedFor && now.Sub(p.greeted) > rememberedFor {
			delete(m.peers, id)
		}
	}
	return members
}

// prune closes the links to peers that are no longer members. One that is leaving still answers what it was asked.
func (m *membership) prune(now time.Time, v *View) {
	m.mu.Lock()
	var lost []*link
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
		if p.greeting == nil || p.absent(now) || now.Sub(p.greeted) > staleGreeting {
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
	if err == nil {
		p.down = time.Time{}
	}
	m.mu.Unlock()
	if errors.Is(err, ErrGone) {
		m.gone(id)
	}
}
