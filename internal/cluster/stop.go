package cluster

import (
	"context"
	"errors"
	"time"
)

const settleInterval = 5 * time.Millisecond

// Retire gives every shard of the node to the others and tells them so. The node still answers what it was asked before.
func (n *Node) Retire(ctx context.Context) {
	n.mu.Lock()
	n.leaving = true
	n.mu.Unlock()
	n.look()
	for {
		p := n.current.Load()
		if p.state == Leaving {
			break
		}
		select {
		case <-p.changed:
		case <-n.ctx.Done():
			return
		case <-time.After(2 * pollInterval): // the node is between two memberships
			return
		case <-ctx.Done():
			return
		}
	}
}

// Stop waits until what the node was asked is answered, and leaves the cluster. When the context ends first, what is left
// fails. The node must not be used afterwards.
func (n *Node) Stop(ctx context.Context) error {
	n.stop()
	n.watch.Wait()
	m := n.membership.Swap(nil)
	if m == nil {
		return nil
	}
	problem := m.settle(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout) // leaving takes little, and gets it
	defer cancel()
	return errors.Join(problem, m.end(ctx))
}

// settle waits until nothing is under way in either direction.
func (m *membership) settle(ctx context.Context) error {
	for {
		if err := m.work.wait(ctx); err != nil {
			return err
		}
		if m.unanswered() == 0 {
			return nil
		}
		select {
		case <-time.After(settleInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
