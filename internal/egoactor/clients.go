package egoactor

import (
	"errors"
	"fmt"
	"sync"

	"github.com/tochemey/goakt/v3/remote"

	"github.com/actorkeep/ego/internal/cluster"
)

var errLeft = fmt.Errorf("%w: %w", cluster.ErrNotDelivered, errors.New("the node has left"))

// clients keep the connections of a session, those to each run of a peer by themselves: GoAkt pools up to eight for an
// address, and after a partition takes them for good one by one, each for as long as a call may take. They are our own
// because GoAkt closes those of an actor system whenever an actor stops.
type clients struct {
	options []remote.RemotingOption

	mu     sync.Mutex
	closed bool
	of     map[cluster.ID]remote.Remoting
}

func newClients(options []remote.RemotingOption) *clients {
	return &clients{options: options, of: make(map[cluster.ID]remote.Remoting)}
}

// get returns the client of a run of a peer. It is an error once the clients are closed.
func (c *clients) get(id cluster.ID) (remote.Remoting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errLeft
	}
	client := c.of[id]
	if client == nil {
		client = remote.NewRemoting(c.options...)
		c.of[id] = client
	}
	return client, nil
}

// drop closes a client whose connections are not to be trusted. Calls that are under way go on.
func (c *clients) drop(id cluster.ID, client remote.Remoting) {
	c.mu.Lock()
	if c.of[id] == client {
		delete(c.of, id)
	}
	c.mu.Unlock()
	client.Close()
}

// forget closes the client of a run, if there is one.
func (c *clients) forget(id cluster.ID) {
	c.mu.Lock()
	client := c.of[id]
	delete(c.of, id)
	c.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// close closes all clients for good.
func (c *clients) close() {
	c.mu.Lock()
	all := c.of
	c.of, c.closed = nil, true
	c.mu.Unlock()
	for _, client := range all {
		client.Close()
	}
}
