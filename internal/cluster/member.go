package cluster

import (
	"cmp"
	"net"
	"strconv"

	"github.com/actorkeep/ego/egopb"
)

// An ID names one run of a node. A node that starts again at the same address gets another epoch.
type ID struct {
	Host  string
	Port  int // of remoting
	Epoch string
}

// Address is host and port.
func (id ID) Address() string { return net.JoinHostPort(id.Host, strconv.Itoa(id.Port)) }

func (id ID) String() string { return id.Address() + "/" + id.Epoch }

func compareIDs(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Epoch, b.Epoch))
}

func (id ID) wire() *egopb.ClusterNode {
	return &egopb.ClusterNode{Host: id.Host, Port: uint32(id.Port), Epoch: id.Epoch} //nolint:gosec // a port
}

func idOf(node *egopb.ClusterNode) ID {
	return ID{Host: node.GetHost(), Port: int(node.GetPort()), Epoch: node.GetEpoch()}
}

// A Member is a live node.
type Member struct {
	ID
	Roles []string
}
