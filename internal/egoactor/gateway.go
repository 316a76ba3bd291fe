package egoactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	goakt "github.com/tochemey/goakt/v3/actor"
	gerrors "github.com/tochemey/goakt/v3/errors"

	"github.com/actorkeep/ego/egopb"
)

// gateway is the actor to which the other nodes of a cluster send their batches.
type gateway struct {
	receive func(*egopb.ClusterBatch)
}

var _ goakt.Actor = (*gateway)(nil)

const gatewayPrefix = "ego-gateway-"

// gatewayName is the name of the gateway of one run of a node. GoAkt never frees the names of a node that was killed, so
// no two runs share one.
func gatewayName(epoch string) string { return gatewayPrefix + epoch }

// PreStart does nothing.
func (g *gateway) PreStart(*goakt.Context) error { return nil }

// Receive hands a batch on. GoAkt has acknowledged it when it entered the mailbox.
func (g *gateway) Receive(ctx *goakt.ReceiveContext) {
	if batch, ok := ctx.Message().(*egopb.ClusterBatch); ok {
		g.receive(batch)
	}
}

// PostStop does nothing.
func (g *gateway) PostStop(*goakt.Context) error { return nil }

// openGateway spawns the gateway. GoAkt looks for its name in the whole cluster first, which fails while a member that
// keeps a part of the registry is dying.
func (s *ClusterSession) openGateway(ctx context.Context, receive func(*egopb.ClusterBatch)) error {
	ctx, cancel := context.WithTimeout(ctx, gatewayTimeout)
	defer cancel()
	for {
		_, err := guarded(ctx, func() (*goakt.PID, error) {
			return s.system.Spawn(context.WithoutCancel(ctx), gatewayName(s.self.Epoch), &gateway{receive: receive},
				goakt.WithLongLived(), goakt.WithRelocationDisabled(), goakt.WithSupervisor(resume()))
		})
		if err == nil || errors.Is(err, gerrors.ErrActorAlreadyExists) { // an attempt that took too long made it
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("ego: the gateway of the node cannot be spawned: %w", err)
		}
	}
}
