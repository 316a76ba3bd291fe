package ego

import (
	"context"
	"slices"
	"time"

	"github.com/actorkeep/ego/internal/cluster"
	"github.com/actorkeep/ego/internal/telemetry"
)

// A Topology is how an engine sees its cluster at a moment. Nodes may see it differently for some seconds after a change.
type Topology struct {
	Serving bool             // this node has a quorum, and so handles commands
	State   string           // joining, serving, fenced or leaving
	Quorum  int              // live members that this node needs to see to serve
	Members []TopologyMember // live members in the order of their addresses, this node included
	Shards  []string         // the address of the owner of every shard; empty when it has none
}

// A TopologyMember is a live member of a cluster.
type TopologyMember struct {
	Address  string // host and remoting port
	Epoch    string // tells this run of the node from others at the address
	Roles    []string
	Self     bool      // the engine that was asked
	Shards   int       // shards that it owns
	Entities uint64    // live entities, as it last said
	Heard    time.Time // when it said so; zero when it has not yet
}

// Topology returns how the engine sees its cluster: the live members, which of them owns which shard and how many entities
// are live where. An engine that is in no cluster is its only member.
func (e *Engine) Topology(ctx context.Context) (*Topology, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n, err := e.running()
	if err != nil {
		return nil, err
	}
	if n.cluster == nil {
		shards := int(n.shards())
		self := TopologyMember{Self: true, Shards: shards, Entities: uint64(n.host.Count()), Heard: time.Now()}
		return &Topology{
			Serving: true, State: cluster.Serving.String(), Quorum: 1,
			Members: []TopologyMember{self}, Shards: make([]string, shards),
		}, nil
	}
	return n.cluster.topology(), nil
}

// gauges returns what metrics tell of the cluster.
func (c *clustered) gauges() telemetry.Cluster {
	s := c.node.Status()
	g := telemetry.Cluster{State: s.State.String(), Members: int64(s.Live)}
	if s.View == nil || s.State != cluster.Serving {
		return g
	}
	for shard := range s.View.Shards() {
		if owner, owned := s.View.OwnerOfShard(shard); owned && owner == s.View.Self {
			g.Shards++
		}
	}
	return g
}

func (c *clustered) topology() *Topology {
	s := c.node.Status()
	t := &Topology{Serving: s.State == cluster.Serving, State: s.State.String(), Quorum: s.Quorum}
	if s.View == nil {
		return t
	}
	shards := make(map[cluster.ID]int)
	for shard := range s.View.Shards() {
		owner, owned := s.View.OwnerOfShard(shard)
		if !owned {
			t.Shards = append(t.Shards, "")
			continue
		}
		shards[owner]++
		t.Shards = append(t.Shards, owner.Address())
	}
	for _, m := range s.View.Members {
		member := TopologyMember{
			Address: m.Address(), Epoch: m.Epoch, Roles: slices.Clone(m.Roles), Self: m.ID == s.View.Self, Shards: shards[m.ID],
		}
		if member.Self {
			member.Entities, member.Heard = uint64(c.local.host.Count()), time.Now()
		}
		for _, p := range s.Peers {
			if p.ID == m.ID {
				member.Entities, member.Heard = p.Entities, p.Heard
			}
		}
		t.Members = append(t.Members, member)
	}
	return t
}
