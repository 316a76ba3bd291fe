package cluster

import (
	"errors"
	"fmt"
)

var (
	// ErrNoQuorum reports a node that sees too few live members to own anything.
	ErrNoQuorum = errors.New("ego: too few live members of the cluster")

	// ErrNoOwner reports that no live member has the role that entities need.
	ErrNoOwner = errors.New("ego: no live member of the cluster may own entities")
)

// A placement is what a node knows at a moment about who owns what. It never changes, but for the channel that tells that
// there is a newer one.
type placement struct {
	view    *View
	state   State
	live    int
	quorum  int
	changed chan struct{}
}

// owner returns who owns an entity.
func (p *placement) owner(entityID string) (ID, error) {
	if p.state != Serving && p.state != Leaving || p.view == nil {
		return ID{}, fmt.Errorf("%w: the node is %s, sees %d live members and needs %d", ErrNoQuorum, p.state, p.live, p.quorum)
	}
	owner, ok := p.view.Owner(entityID)
	if !ok {
		return ID{}, ErrNoOwner
	}
	return owner, nil
}

// owns reports whether this node owns an entity.
func (p *placement) owns(entityID string) bool {
	return p.state == Serving && p.view != nil && p.view.owns(entityID)
}
